use std::net::TcpListener;
use std::thread;

use super::*;

#[test]
fn samples_are_read_with_their_labels() {
    let text = "# HELP a b\n# TYPE a counter\na 1\nb{shard=\"0\"} 2.5\nc{x=\"a\\\"b,c=}\",y=\"\\\\\"} +Inf\nnonsense\nd{x=\"open 4\n";
    let samples = parse(text);
    assert_eq!(samples.len(), 3, "{samples:?}");
    assert_eq!((samples[1].label("shard"), samples[1].value), (Some("0"), 2.5));
    assert_eq!((samples[2].label("x"), samples[2].label("y")), (Some("a\"b,c=}"), Some("\\")));
    assert_eq!(samples[0].label("x"), None);
}

/// Answers one request with `answer`; the address to ask.
fn once(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let count = socket.read(&mut request).unwrap();
        assert!(request[..count].starts_with(b"GET /metrics HTTP/1.0\r\n"));
        socket.write_all(answer.as_bytes()).unwrap();
    });
    address
}

#[test]
fn an_endpoint_is_asked() {
    assert_eq!(get(&once("HTTP/1.0 200 OK\r\nx: y\r\n\r\na 1\n")).unwrap(), "a 1\n");
    let refused = get(&once("HTTP/1.0 404 Not Found\r\n\r\n")).unwrap_err();
    assert!(refused.to_string().contains("404"), "{refused}");
    let silent = get(&once("")).unwrap_err();
    assert!(silent.to_string().contains("no HTTP answer"), "{silent}");
    assert!(get("nowhere").is_err());
}
