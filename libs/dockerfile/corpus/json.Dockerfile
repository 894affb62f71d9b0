FROM a
RUN ["a", "b\"c", "\u00e9"]
CMD [ ]
SHELL ["/bin/sh", "-c"]
VOLUME ["/a b", "/c"]
COPY ["a b", "/c d/"]
ENTRYPOINT ["a
RUN [ -f x ] && y
