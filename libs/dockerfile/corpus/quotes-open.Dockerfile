FROM a
ENV a="b c
ARG d='e
COPY --chown="a b c
RUN <<"E
