use super::*;

#[test]
fn counts_are_read_by_thread() {
    let text = "ottla-30051,<not counted>,,io_uring:io_uring_queue_async_work,0,100.00,,\n\
                shard-0-30057,12,,io_uring:io_uring_queue_async_work,155260,100.00,,\n\
                iou-wrk-30057-30062,<not counted>,,io_uring:io_uring_queue_async_work,0,100.00,,\n\
                shard-0-30057,400,,raw_syscalls:sys_enter,155260,100.00,,\n\
                \n# started\n";
    let counted = Counted::parse(text);
    assert_eq!(counted.of(30057, TRACEPOINTS[0]), 12);
    assert_eq!(counted.of(30057, TRACEPOINTS[1]), 400);
    assert_eq!(counted.of(30051, TRACEPOINTS[0]), 0);
}
