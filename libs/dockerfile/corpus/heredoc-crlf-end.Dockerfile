FROM a
RUN <<-E
	x
	E
RUN y
