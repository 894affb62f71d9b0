FROM	a b
 RUN	x y
 COPY ab/c
