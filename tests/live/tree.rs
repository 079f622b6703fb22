//! A small Linux system with a tunnel that runs, as a tree with its own `proc`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The host's name.
pub const HOST: &str = "edge-04";
/// Secrets that no result may show.
pub const TOKEN: &str = "2aBcDeFgHiJkLmNoPqRsTuVwXyZ_4f3kQpLmN7xY2sT9vB1cD";
pub const PASSWORD: &str = "correct-horse-battery";

fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn link(root: &Path, name: &str, target: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// Writes the tree; `logs` says how much there is to read.
pub fn build(root: &Path, logs: usize) {
    write(root, "etc/hostname", format!("{HOST}\n"));
    write(
        root,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000::/home/dev:/bin/sh\n",
    );
    write(
        root,
        "home/dev/.config/ngrok/ngrok.yml",
        format!("version: 2\nauthtoken: {TOKEN}\ntunnels:\n  ssh:\n    proto: tcp\n    addr: 22\n"),
    );
    let line = |n: usize| {
        format!(
            "t=2026-03-04T10:{:02}:{:02}+0000 lvl=info msg=\"started tunnel\" obj=tunnels \
             name=ssh addr=//localhost:22 url=tcp://0.tcp.eu.ngrok.io:1{n:04}\n",
            n / 60 % 60,
            n % 60
        )
    };
    let text: String = (0..40).map(line).collect();
    for n in 0..logs {
        write(root, &format!("var/log/agent/ngrok-{n:03}.log"), &text);
    }
    proc(root);
}

fn proc(root: &Path) {
    write(root, "proc/stat", "cpu  1 2 3\nbtime 1772600000\nprocesses 900\n");
    write(root, "proc/uptime", "5000.25 9000.00\n");
    write(root, "proc/sys/kernel/hostname", format!("{HOST}\n"));
    write(root, "proc/sys/kernel/random/boot_id", "7f1f6d0c-8f0e-4a53-9a54-3f0f4a3b2c1d\n");
    let process = |pid: u32, name: &str, parent: u32, ticks: u32, command: &str, user: u32| {
        let stat = format!(
            "{pid} ({name}) S {parent} {pid} {pid} 0 -1 4194560 0 0 0 0 1 1 0 0 20 0 1 0 {ticks} 1 1\n"
        );
        write(root, &format!("proc/{pid}/stat"), stat);
        write(
            root,
            &format!("proc/{pid}/status"),
            format!("Name:\t{name}\nUid:\t{user}\t{user}\t{user}\t{user}\n"),
        );
        write(root, &format!("proc/{pid}/cmdline"), command.replace(' ', "\0") + "\0");
        fs::create_dir_all(root.join(format!("proc/{pid}/fd"))).unwrap();
    };
    process(1, "systemd", 0, 3, "/sbin/init", 0);
    link(root, "proc/1/exe", "/usr/lib/systemd/systemd");
    process(700, "sh (x) y", 1, 110_000, "sh -c run", 1000);
    link(root, "proc/700/exe", "/usr/bin/dash");
    process(812, "ngrok", 700, 120_050, "/dev/shm/.x/ngrok tcp 22", 1000);
    link(root, "proc/812/exe", "/dev/shm/.x/ngrok (deleted)");
    link(root, "proc/812/cwd", "/dev/shm/.x");
    link(root, "proc/812/fd/3", "socket:[21345]");
    link(root, "proc/812/fd/7", "socket:[21346]");
    write(root, "proc/812/cgroup", "0::/user.slice/user-1000.slice/session-4.scope\n");
    write(
        root,
        "proc/812/environ",
        format!("HOME=/home/dev\0NGROK_AUTHTOKEN={TOKEN}\0DB_PASSWORD={PASSWORD}\0"),
    );
    write(root, "proc/700/environ", format!("HOME=/home/dev\0DB_PASSWORD={PASSWORD}\0"));
    let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    write(
        root,
        "proc/net/tcp",
        format!(
            "{head}   0: 0100007F:0FC8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 21345 1\n   \
             1: 0502000A:D903 1B7D2103:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 21346 1\n   \
             2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9999 1\n"
        ),
    );
    write(
        root,
        "run/systemd/sessions/4",
        "UID=1000\nUSER=dev\nREMOTE=1\nREMOTE_HOST=203.0.113.45\nSERVICE=sshd\nLEADER=690\nREALTIME=1772601000250000\n",
    );
}
