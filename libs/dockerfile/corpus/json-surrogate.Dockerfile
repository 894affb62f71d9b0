FROM a
CMD ["\ud800"]
