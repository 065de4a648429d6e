use super::*;
use crate::Thread;

fn profile() -> Profile {
    let mut profile = Profile::default();
    let shard = Thread { name: "shard-0".into(), tid: 10 };
    profile.add(shard.clone(), "run;append;memcpy", 70);
    profile.add(shard, "run;write;do_syscall_64_[k]", 30);
    profile.add(Thread { name: "../evil <b>".into(), tid: 11 }, "main", 5);
    profile
}

#[test]
fn each_role_has_its_picture_and_its_stacks() {
    let folder = tempfile::tempdir().unwrap();
    let graphs = write_graphs(&profile(), "10 s", "samples", false, folder.path()).unwrap();
    let names: Vec<&str> = graphs.iter().map(|graph| graph.name.as_str()).collect();
    assert_eq!(names, ["all", "../evil <b>", "shard-0"]);
    for graph in &graphs {
        let svg = fs::read_to_string(folder.path().join(&graph.svg)).unwrap();
        assert!(svg.contains("<svg") && svg.contains("function zoom"), "{}: drawn, and it can be clicked", graph.name);
        let stacks = Stacks::read(&folder.path().join(&graph.folded)).unwrap();
        assert_eq!(stacks.total(), graph.total);
    }
    let svg = fs::read_to_string(folder.path().join("shard-0.svg")).unwrap();
    for frame in ["append", "memcpy", "do_syscall_64"] {
        assert!(svg.contains(frame), "{frame}");
    }
    assert!(folder.path().join("_evil__b_.svg").exists(), "a thread's name is no path");
    assert_eq!(graphs[2].hottest[0], ("memcpy".to_owned(), 70));
}

#[test]
fn a_difference_is_one_of_shares() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("diff.svg");
    let before = Stacks::parse("run;copy 50\nrun;send 50\n").unwrap();
    // Ten times as long, and half of the copying gone.
    let after = Stacks::parse("run;copy 250\nrun;send 750\n").unwrap();
    let difference = diff(&before, &after, &path).unwrap();
    assert_eq!((difference.before, difference.after), (100, 1000));
    assert_eq!(difference.moved, [("copy".to_owned(), 0.5, 0.25), ("send".to_owned(), 0.5, 0.75)]);
    assert_eq!(difference.moved_with_callees, difference.moved, "`run` has all of both, and did not move");
    let svg = fs::read_to_string(path).unwrap();
    assert!(svg.contains("copy") && svg.contains("<svg"), "{svg}");
    let same = diff(&before, &before, &folder.path().join("same.svg")).unwrap();
    assert!(same.moved.is_empty(), "{same:?}");
}

#[test]
fn where_nothing_can_be_written_the_file_is_named() {
    let error = draw(&profile().all(), "x", "samples", true, Path::new("/nonexistent/x.svg")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/x.svg"), "{error}");
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let page = crate::Page {
        title: "A & B".into(),
        facts: vec![("process".into(), "<1>".into())],
        groups: vec![(
            "Graphs".into(),
            vec![crate::Link { file: "all.svg".into(), name: "all".into(), tells: "5".into() }],
        )],
        texts: vec![("Counts".into(), "a < b".into())],
    };
    let html = fs::read_to_string(crate::write_page(&page, folder.path()).unwrap()).unwrap();
    assert!(html.contains("<h1>A &amp; B</h1>") && html.contains("&lt;1&gt;") && html.contains("a &lt; b"));
    assert!(html.contains("href=\"all.svg\"") && !html.contains("http"), "{html}");
}
