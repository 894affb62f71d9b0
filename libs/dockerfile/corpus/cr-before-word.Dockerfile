FROM a
\
ADD --x a
