//! Programs that start or host others, such as shells, services' hosts and browsers: what
//! runs in one or is started by one is not that program's doing.

use super::path::{base_name, tail};

/// Programs that start or host others: naming one says nothing about it. One that lies
/// where no such program does only bears the name.
pub fn is_host_program(path: &str) -> bool {
    let name = base_name(path).to_ascii_lowercase();
    let is = |hosts: &[&str]| {
        hosts.contains(&name.as_str()) || hosts.contains(&format!("{name}.exe").as_str())
    };
    name.is_empty()
        || is(HOSTS)
        || is(UNIX_HOSTS) && !is_anybodys(path)
        || is(WINDOWS_HOSTS) && is_of_windows(&tail(path))
        || is(INSTALLED_HOSTS) && is_installed(&tail(path))
}

/// Programs of Unix that start or host others, or only handle files, and what is no
/// program at all.
const UNIX_HOSTS: &[&str] = &[
    "anacron",
    "ash",
    "at",
    "autossh",
    "awk",
    "bash",
    "busybox",
    "cat",
    "chmod",
    "chown",
    "conmon",
    "containerd-shim-runc-v2",
    "cp",
    "cron",
    "crond",
    "curl",
    "dash",
    "date",
    "doas",
    "docker",
    "docker-compose",
    "dockerd",
    "echo",
    "env",
    "expect",
    "find",
    "flock",
    "git",
    "grep",
    "ionice",
    "kill",
    "ksh",
    "kubectl",
    "launchctl",
    "logger",
    "mkdir",
    "mv",
    "nerdctl",
    "nice",
    "nohup",
    "null",
    "perl",
    "pgrep",
    "php",
    "pidof",
    "pkexec",
    "pkill",
    "podman",
    "ps",
    "python",
    "rm",
    "run-parts",
    "runc",
    "runuser",
    "screen",
    "sed",
    "service",
    "setsid",
    "sh",
    "sleep",
    "ssh",
    "sshd",
    "sshpass",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemctl",
    "systemd",
    "systemd-run",
    "tail",
    "tar",
    "tee",
    "test",
    "time",
    "timeout",
    "tmux",
    "touch",
    "true",
    "unzip",
    "watch",
    "wget",
    "xargs",
    "zsh",
];

/// Programs of Windows that start or host others, wherever they lie.
const HOSTS: &[&str] = &[
    "7z.exe",
    "bash.exe",
    "code.exe",
    "curl.exe",
    "docker.exe",
    "dotnet.exe",
    "find.exe",
    "go.exe",
    "grep.exe",
    "httpd.exe",
    "iisexpress.exe",
    "java.exe",
    "javaw.exe",
    "nginx.exe",
    "node.exe",
    "nssm.exe",
    "nssm64.exe",
    "paexec.exe",
    "php-cgi.exe",
    "php.exe",
    "plink.exe",
    "psexec.exe",
    "psexec64.exe",
    "pwsh.exe",
    "python.exe",
    "python3.exe",
    "pythonw.exe",
    "ruby.exe",
    "srvany.exe",
    "ssh.exe",
    "start",
    "system",
    "timeout.exe",
    "tomcat10.exe",
    "tomcat7.exe",
    "tomcat8.exe",
    "tomcat9.exe",
    "winsw.exe",
    "wsl.exe",
];

/// Those that come with Windows: elsewhere, another program bears the name.
const WINDOWS_HOSTS: &[&str] = &[
    "at.exe",
    "bitsadmin.exe",
    "certutil.exe",
    "cmd.exe",
    "conhost.exe",
    "cscript.exe",
    "dllhost.exe",
    "explorer.exe",
    "findstr.exe",
    "forfiles.exe",
    "lsass.exe",
    "mshta.exe",
    "msiexec.exe",
    "net.exe",
    "net1.exe",
    "notepad.exe",
    "powershell.exe",
    "powershell_ise.exe",
    "reg.exe",
    "regsvr32.exe",
    "runas.exe",
    "rundll32.exe",
    "sc.exe",
    "schtasks.exe",
    "services.exe",
    "svchost.exe",
    "taskeng.exe",
    "taskhostw.exe",
    "w3wp.exe",
    "wevtutil.exe",
    "winrs.exe",
    "wmic.exe",
    "wmiprvse.exe",
    "wscript.exe",
    "wsmprovhost.exe",
];

/// Those that installers put where programs belong.
const INSTALLED_HOSTS: &[&str] = &[
    "brave.exe",
    "chrome.exe",
    "firefox.exe",
    "iexplore.exe",
    "msedge.exe",
    "msmpeng.exe",
    "opera.exe",
];

/// Whether everybody may put files where that one lies.
fn is_anybodys(path: &str) -> bool {
    ["/tmp/", "/var/tmp/", "/dev/shm/"].iter().any(|folder| path.starts_with(folder))
}

/// Whether the [`tail`] of a path has no folder or is one of those with Windows's programs.
fn is_of_windows(tail: &str) -> bool {
    const FOLDERS: &[&str] =
        &["system32\\", "syswow64\\", "sysnative\\", "winsxs\\", "servicing\\", "microsoft.net\\"];
    let in_folders = |below: &str| FOLDERS.iter().any(|folder| below.starts_with(folder));
    let below = tail.split_once("\\windows\\").filter(|(before, _)| {
        // The system itself, also behind the rest of a volume's name (`SYSVOL`,
        // `ShadowCopy2`); one it replaced; one that a Linux beside it sees.
        !before.starts_with('\\') || *before == "\\windows.old" || before.starts_with("\\mnt\\")
    });
    !tail.contains('\\')
        || in_folders(tail)
        || below.is_some_and(|(_, below)| !below.contains('\\') || in_folders(below))
        || tail.starts_with("\\program files\\windowsapps\\")
}

/// Whether the [`tail`] of a path has no folder or is where installers put programs.
fn is_installed(tail: &str) -> bool {
    const DEFENDER: &str = "\\programdata\\microsoft\\windows defender\\";
    !tail.contains('\\')
        || tail.starts_with("\\program files")
        || tail.starts_with(DEFENDER)
        || tail.contains("\\appdata\\local\\") && !tail.contains("\\appdata\\local\\temp\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_host_others_lie_where_they_belong() {
        for path in [
            "cmd",
            "svchost.exe",
            r"C:\Windows\System32\svchost.exe",
            r"%windir%\explorer.exe",
            r"\SystemRoot\System32\inetsrv\w3wp.exe",
            r"\Device\HarddiskVolume3\Windows\SysWOW64\cmd.exe",
            r"system32\sc.exe",
            r"SYSVOL\Windows\System32\svchost.exe",
            r"\Device\HarddiskVolumeShadowCopy2\Windows\System32\cmd.exe",
            "/mnt/c/Windows/System32/cmd.exe",
            r"C:\Windows.old\Windows\System32\net.exe",
            r"C:\Program Files\WindowsApps\Microsoft.WindowsNotepad_11\Notepad\Notepad.exe",
            r"C:\Users\jane\AppData\Local\Google\Chrome\Application\chrome.exe",
            r"C:\xampp\apache\bin\httpd.exe",
            r"D:\tools\Python311\python.exe",
            "/usr/sbin/sshd",
            "/home/jane/.venv/bin/python",
        ] {
            assert!(is_host_program(path), "{path}");
        }
        for path in [
            r"C:\ProgramData\svchost.exe",
            r"C:\Windows\Temp\svchost.exe",
            r"C:\Users\Public\Windows\System32\svchost.exe",
            r"\VOLUME{01d-2c}\PERFLOGS\LSASS.EXE",
            r"C:\ProgramData\chrome.exe",
            r"C:\Users\jane\AppData\Local\Temp\chrome.exe",
            "/tmp/sshd",
            "/dev/shm/systemd",
        ] {
            assert!(!is_host_program(path), "{path}");
        }
    }
}
