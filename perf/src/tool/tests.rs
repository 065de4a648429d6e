use super::*;

#[test]
fn each_system_is_told_its_own_package() {
    for (release, wanted) in [
        ("ID=debian\n", "apt install linux-perf"),
        ("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", "apt install linux-tools-common linux-tools-$(uname -r)"),
        ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install perf"),
        ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt install linux-tools-common linux-tools-$(uname -r)"),
        ("ID=alpine\n", "apk add perf"),
    ] {
        assert_eq!(install(release), wanted, "{release}");
    }
    assert!(install("").contains("PERF"));
}

#[test]
fn what_perf_says_is_understood() {
    let paranoid = "Error:\nAccess to performance monitoring and observability operations is limited.\n\
                    Consider adjusting /proc/sys/kernel/perf_event_paranoid setting\n";
    let PerfError::Forbidden { said, .. } = refused("recording", paranoid) else { panic!("not permitted") };
    assert!(said.starts_with("Access to performance"), "{said}");
    assert!(matches!(refused("recording", "event syntax error: 'cycels'"), PerfError::Tool { .. }));
}

#[test]
fn what_is_not_there_is_not_installed() {
    let perf = Perf { program: "/nonexistent/perf".into(), version: String::new() };
    assert_eq!(perf.event(), Event::CpuClock);
    assert!(matches!(perf.run("recording", &["record"]), Err(PerfError::Io { .. })));
}
