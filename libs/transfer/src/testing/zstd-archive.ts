/** An OCI archive with one image, `host.test/zstd:1`, as `zstd -19` packs it. */
export const zstdArchive: Buffer = Buffer.from(
  [
    'KLUv/QRoNRIAVt9bHkBtHtzcmztUV5OREXEr+Uc6EwfRg2hhIO8VBdcDFFYAUgBQAJfmpuIIYTu9jsfD1T8mBr/1I1VB6K3fXuyR',
    'CjAt4NEzqIbOMYezbjSSr/guk1rNapiCFM5XS38o/MKjqyrLWovkW0OWFVjcixE6a3EOrmVD8sQdg0tzv5utMyNy3NiXtPT4+saZ',
    '4n/kZiFlVdkZY3/SoVxNn/oPdM49bp23PM4oYaTObX0crNU5qz11ueg88bk5/VloZ5yu+fu5KARfc4Ze3KoELNI0TU9le08fq+6N',
    'QSunbdBSVhldFrpcsz0UIP3EHfG91VxsFcbHXrqUL534vKuPzcff85LB1Vb0FZ30yp43/yfSKif1RiDomR0zMU2KQXVrCmHriWlB',
    'yXeDgJjJgYxRTINxMTglFKJehbW3arWVtjtnSTFTBVKLa3GmEgi+Dp0VoxyskStIvQTZ9PdlUMlVZbnGHNfWu+g8/bqeOQ8fyeQ3',
    '+excNk8gkCYQoiHJDhVDD7bWUdE0eDiQgKhmGg2AwgWSLrgVe/qFcbGUkownEMMtQPiGKQMwLqDCw2A0gfzC4QDvgtnqGEH6jH5m',
    'EgzQA2whcuq0ykqIn8R9AiwJB4Edq0BqmwvYAG8AwGOr2W4A6rQBOCw4qGHxLGOpGjLuAORK1aIoXeVTGCSPp3SR1TbRnGNcQFKC',
    'hsFwVMyBedhWYIuAaTzcKhEoS/cIu04UcISAZBZQ/itKmSrWPO4AlCLengoGEuLcKQk+xXa4rtABmHtw0ABmU5gD51OnUA==',
  ].join(''),
  'base64',
)
