FROM a
COPY a <<E
x
E
