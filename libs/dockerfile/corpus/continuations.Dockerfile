\
\
F\
ROM a \ 	
 AS b
RUN a \\
RUN b \