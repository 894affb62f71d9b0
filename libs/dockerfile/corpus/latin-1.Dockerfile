# café
FROM a
LABEL a=café
