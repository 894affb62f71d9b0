FROM a
RUN \


 \
	
 x
