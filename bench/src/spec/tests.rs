use super::*;

fn wrong(text: &str) -> String {
    parse(text, "my.toml").unwrap_err().to_string()
}

#[test]
fn every_built_in_workload_is_read() {
    let (names, own) = names();
    assert_eq!(
        builtin().len(),
        names.len(),
        "{:?}",
        names.iter().filter(|name| find(name).is_none()).collect::<Vec<_>>()
    );
    assert!(own >= 20 && names.len() >= own + 130, "{own} of {}", names.len());
    assert!(builtin().iter().all(|spec| spec.about.len() > 20), "each says what it is");
    for name in GOALS.iter().chain(GROWTH) {
        assert!(find(name).is_some(), "{name}");
    }
}

#[test]
fn a_wrong_key_is_named_with_its_line_and_the_right_one() {
    let text = wrong("kind = \"produce\"\n\n[topics]\npartitons = 3\n");
    assert!(text.starts_with("my.toml:4: 'partitons': no such key"), "{text}");
    assert!(text.ends_with("did you mean 'partitions'?"), "{text}");
    let text = wrong("[produse]\nrate = 1\n");
    assert!(text.starts_with("my.toml:1:") && text.contains("did you mean 'produce'?"), "{text}");
}

#[test]
fn a_wrong_value_is_named_with_its_line_and_what_is_allowed() {
    let text = wrong("kind = \"prodice\"\n");
    assert!(text.starts_with("my.toml:1: 'prodice'") && text.contains("did you mean 'produce'?"), "{text}");
    let text = wrong("\n[produce]\nrecord_bytes = 100\nbatch_bytes = \"64 KB please\"\n");
    assert!(text.starts_with("my.toml:4: 'batch_bytes'") && text.contains("64KiB"), "{text}");
    let text = wrong("[produce]\nrate = \"fast\"\n");
    assert!(text.starts_with("my.toml:2: 'rate'") && text.contains("max"), "{text}");
    let text = wrong("seconds = \"ten\"\n");
    assert!(text.starts_with("my.toml:1: 'seconds'"), "{text}");
}

#[test]
fn what_is_out_of_range_or_does_not_go_together_is_named_with_its_line() {
    for (text, line, words) in [
        ("[produce]\n\nin_flight = 0\n", 3, "produce.in_flight: 0 is not in 1.."),
        ("[produce]\nrecord_bytes = 3\n", 2, "bytes on average"),
        ("[produce]\ncompressibility = 1.5\n", 2, "from 0 to 1"),
        ("kind = \"groups\"\n", 1, "runs in stages"),
        ("kind = \"produce\"\nsteps = [1]\n", 2, "only the kinds"),
        ("kind = \"cold-read\"\n[consume]\n", 2, "how many bytes"),
        ("kind = \"connections\"\nsteps = [5]\n[produce]\n", 3, "say a rate"),
        ("seconds = -1\n", 1, "not from 0"),
    ] {
        let said = wrong(text);
        assert!(said.starts_with(&format!("my.toml:{line}:")) && said.contains(words), "{text:?}: {said}");
    }
}

#[test]
fn what_is_no_toml_is_named_with_its_line() {
    assert!(
        wrong("kind = \"produce\"\n[produce\n").starts_with("my.toml:2:"),
        "{}",
        wrong("kind = \"produce\"\n[produce\n")
    );
}

#[test]
fn a_name_comes_from_the_file() {
    assert_eq!(parse("kind = \"produce\"", "some/where/mine.toml").unwrap().name, "mine");
}

#[test]
fn values_are_spelled_one_way_and_come_back() {
    fn both<T: std::str::FromStr<Err = String> + std::fmt::Display + PartialEq + std::fmt::Debug>(
        text: &str,
        again: &str,
    ) {
        let value: T = text.parse().unwrap();
        assert_eq!(value.to_string(), again);
        assert_eq!(again.parse::<T>().unwrap(), value);
    }
    both::<Bytes>("64KiB", "64 KiB");
    both::<Bytes>("1.5 MB", "1500 kB");
    both::<Rate>("50000 records/s", "50000 records");
    both::<Rate>("max", "max");
    both::<Sizes>("100..2000", "100..2000");
    both::<Sizes>("100:9,4096:1", "100:9,4096:1");
    both::<Keys>("zipf:1000", "zipf:1000:0.99");
    both::<Acks>("-1", "all");
    both::<Compression>("zstd", "zstd");
    assert!("lz5".parse::<Compression>().unwrap_err().ends_with("did you mean 'lz4'?"));
    for text in ["-5", "nan", "1e300", "2 QB"] {
        assert!(text.parse::<Bytes>().is_err(), "{text}");
    }
}

#[test]
fn a_spec_comes_back_from_its_own_text() {
    for name in ["zipf-lz4", "cold-read", "growth-connections"] {
        let spec = find(name).unwrap();
        let text = toml::to_string(spec).unwrap();
        assert_eq!(&parse(&text, "x.toml").unwrap(), spec, "{text}");
    }
}

#[test]
fn linger_decides_how_much_a_batch_holds() {
    let mut spec = Spec::default();
    spec.produce.rate = Rate::Records(50_000.0);
    spec.produce.producers = 1;
    spec.produce.batch_bytes = Bytes(128 << 10);
    assert_eq!(spec.shape().records, 126, "full batches without linger");
    spec.produce.linger_ms = Some(1.0);
    let shape = spec.shape();
    assert_eq!(shape.records, 50, "a millisecond of 50,000 a second");
    assert!((shape.batches_per_second.unwrap() - 1_000.0).abs() < 1e-6);
    spec.produce.rate = Rate::Max;
    assert_eq!(spec.shape().batches_per_second, None);
}
