use super::*;

/// The events of a file, each record's checksums verified.
fn read(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let checksum = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let data = &rest[12..12 + length];
        assert_eq!(checksum(8), masked_crc(&rest[..8]));
        assert_eq!(checksum(12 + length), masked_crc(data));
        events.push(Event::decode(data).unwrap());
        rest = &rest[16 + length..];
    }
    events
}

fn output(dir: &Path) -> OutputDir {
    OutputDir::take(dir, false, &align_files::Resume::No).unwrap()
}

fn open(output: &OutputDir, step: usize) -> Result<TensorBoard> {
    TensorBoard::open(TensorBoard::claim(output)?, step)
}

fn entry(json: &str) -> LogEntry {
    serde_json::from_str(json).unwrap()
}

#[test]
fn scalars_have_the_tags_of_transformers() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = open(&output(dir.path()), 0).unwrap();
    writer
        .scalars(3, &entry(r#"{"loss": 0.5, "rewards/margins": 0.0, "entropy": null, "step": 3}"#))
        .unwrap();
    writer.scalars(3, &entry(r#"{"eval_loss": 0.25, "step": 3}"#)).unwrap();

    let events = read(&writer.path);
    assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
    let scalars: Vec<_> = events[1..]
        .iter()
        .flat_map(|event| match &event.what {
            Some(What::Summary(summary)) => summary.value.clone(),
            other => panic!("{other:?}"),
        })
        .map(|value| (value.tag, value.simple_value))
        .collect();
    let expected = [("train/loss", 0.5), ("train/rewards/margins", 0.0), ("eval/loss", 0.25)];
    assert_eq!(scalars, expected.map(|(tag, value)| (tag.to_owned(), Some(value))));
    assert!(events[1..].iter().all(|event| event.step == 3));
}

#[test]
fn a_resumed_run_takes_back_the_events_beyond_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(&output(dir.path()), 20).unwrap();
    let event = &read(&writer.path)[1];
    assert_eq!((event.step, &event.what), (21, &Some(What::SessionLog(SessionLog { status: START }))));
}

#[test]
fn the_checksum_is_the_masked_crc_of_tensorflow() {
    // The CRC-32C of the standard's check string, then ((crc >> 15 | crc << 17) + 0xa282ead8) mod 2^32.
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
}
