//! Content on its way in and out.

use super::*;

fn place() -> (tempfile::TempDir, Arc<Paths>) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Arc::new(Paths::new(dir.path()));
    paths.prepare().unwrap();
    (dir, paths)
}

#[tokio::test]
async fn small_content_stays_in_memory() {
    let (_dir, paths) = place();
    let mut writer = ContentWriter::new(paths.clone(), MessageId(1), None);
    writer.write(&vec![b'x'; CONTENT_IN_ROW_MAX - 1]).await.unwrap();
    writer.push(Bytes::from_static(b"y")).await.unwrap();
    let content = writer.finish().await.unwrap();
    assert!(matches!(&content.place, Place::Memory(bytes) if bytes.len() == CONTENT_IN_ROW_MAX));
    assert_eq!(paths.contents().unwrap(), []);
}

#[tokio::test]
async fn memory_is_bounded_by_the_window() {
    let (_dir, paths) = place();
    let mut writer = ContentWriter::new(paths.clone(), MessageId(1), None);
    for _ in 0..100 {
        writer.write(&[b'x'; 30_000]).await.unwrap();
        assert!(writer.window.capacity() <= 2 * CONTENT_IN_ROW_MAX);
    }
    let content = writer.finish().await.unwrap();
    assert_eq!(content.size(), 3_000_000);
    assert_eq!(
        std::fs::metadata(paths.content(MessageId(1))).unwrap().len(),
        3_000_000
    );
}

#[tokio::test]
async fn octets_above_127_are_noted_however_the_content_is_cut() {
    let large = [&[b'x'; CONTENT_IN_ROW_MAX][..], b"\xff"].concat();
    let cases: [(&[u8], bool, bool); 6] = [
        (b"", false, false),
        (b"Subject: a\r\n\r\nb\x7f\r\n", false, false),
        (b"Subject: a\r\n\r\nb\x80\r\n", false, true),
        (b"Subject: \xc3\xbc\r\n\r\nb\r\n", true, true),
        (b"\r\n\xff", false, true),
        (&large, true, true),
    ];
    let (_dir, paths) = place();
    for (octets, header, whole) in cases {
        let noted = Content::from(Bytes::copy_from_slice(octets));
        assert_eq!((noted.header_8bit(), noted.content_8bit()), (header, whole));
        for length in [1, 7, octets.len().max(1)] {
            let mut writer = ContentWriter::new(paths.clone(), MessageId(1), None);
            for piece in octets.chunks(length) {
                writer.write(piece).await.unwrap();
            }
            let noted = writer.finish().await.unwrap();
            assert_eq!((noted.header_8bit(), noted.content_8bit()), (header, whole));
        }
    }
}

#[test]
fn what_is_dropped_leaves_no_file() {
    let (_dir, paths) = place();
    // One blocking thread: what is asked of it last is done last.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut unfinished = ContentWriter::new(paths.clone(), MessageId(1), None);
        unfinished.write(&vec![0; 1 << 20]).await.unwrap();
        let mut finished = ContentWriter::new(paths.clone(), MessageId(2), None);
        finished.write(&vec![0; 1 << 20]).await.unwrap();
        let finished = finished.finish().await.unwrap();
        assert_eq!(paths.contents().unwrap().len(), 2);
        drop((unfinished, finished));
        blocking(|| Ok(())).await.unwrap();
    });
    assert_eq!(paths.contents().unwrap(), []);
}

#[tokio::test]
async fn a_file_cut_short_is_damage_and_no_short_message() {
    let (_dir, paths) = place();
    let path = paths.content(MessageId(1));
    std::fs::write(&path, b"1234").unwrap();
    let file = File::open(&path).unwrap();
    let mut reader = ContentReader::new(Source::File(file, path, 5));
    assert!(matches!(reader.next().await, Err(Error::Damaged { .. })));
}
