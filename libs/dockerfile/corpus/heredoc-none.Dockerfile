FROM a
RUN echo "<<A" '<<B' \<<C $((1<2)) <<<D
RUN ["a", "<<E"]
RUN it's <<F
ENV a=<<G
