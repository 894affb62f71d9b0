FROM a AS b
MAINTAINER me you
ARG c
ENV d=e
LABEL f=g
RUN h
COPY i j
ADD k l
CMD m
ENTRYPOINT n
EXPOSE 80 443/udp 1-3 $p
VOLUME /o /p
USER q:r
WORKDIR /s t
SHELL ["u"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=1s --timeout=1m --start-period=0s --start-interval=2s --retries=3 CMD v
HEALTHCHECK NONE
ONBUILD COPY --from=w x y
