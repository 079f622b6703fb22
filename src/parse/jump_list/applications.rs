//! Identifiers of programs that jump lists are named by: a checksum over the path or
//! the name that a program gives itself, so that one program has several.

/// The program of that identifier (lower-case), if it is one of the few known here.
pub(super) fn name(id: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

const NAMES: &[(&str, &str)] = &[
    ("1b4dd67f29cb1962", "Windows Explorer"),
    ("1bc392b8e104a00e", "Remote Desktop Connection"),
    ("28c8b86deab549a1", "Internet Explorer"),
    ("290532160612e071", "WinRAR"),
    ("3df22b7648cec4c1", "TeamViewer"),
    ("40371339ad31a7e6", "Mozilla Firefox"),
    ("469e4a7982cea4d4", "WordPad"),
    ("4ac866364817f10c", "Microsoft Edge"),
    ("590aee7bdd69b59b", "PowerShell"),
    ("5bb830f67194431a", "7-Zip"),
    ("5d696d521de238c3", "Google Chrome"),
    ("5da8f997fd5f9428", "Internet Explorer"),
    ("5f7b5f1e01b83767", "Quick Access"),
    ("5fd959f6fe6b8ae7", "PuTTY"),
    ("607258d66273ff4d", "Microsoft Edge"),
    ("6824f4a902c78fbd", "Mozilla Firefox"),
    ("69639df789022856", "Google Chrome"),
    ("6bb54d82fa42128d", "WinSCP"),
    ("75fdacd8330bac18", "AnyDesk"),
    ("918e0ecb43d17e23", "Notepad (32-bit)"),
    ("9390ee5b658e96e", "PuTTY"),
    ("9a3bdae86d5576ee", "WinSCP"),
    ("9b9cdc69c1c24e2b", "Notepad"),
    ("9d1f905ce5044aee", "Edge (legacy)"),
    ("bc0c37e84e063727", "Command Prompt"),
    ("ccba5a5986c77e43", "Microsoft Edge"),
    ("e70d383b15687e37", "Notepad++"),
    ("ea5af8ce5aeb5617", "Notepad++"),
    ("f01b4d95cf55d32a", "Windows Explorer"),
];
