FROM ab
RUN xy \
 z
COPY <<-E /x
	a	b
	E
