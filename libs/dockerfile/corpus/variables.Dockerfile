ARG A B=1 C="d e" F=
FROM a:${B:-c}
ARG A
ENV a=b c="d $e" 'f g'=h i=j\ k
ENV l m n
LABEL a.b="c=d" "e f"=g
LABEL h i j
