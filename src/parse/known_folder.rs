//! Known folders by their GUID, written with the variables that stand for them.
//!
//! Source: Microsoft's documentation of `KNOWNFOLDERID`.

/// GUID without braces, upper case, and the folder.
const FOLDERS: &[(&str, &str)] = &[
    (
        "0139D44E-6AFE-49F2-8690-3DAFCAE6FFB8",
        r"%ProgramData%\Microsoft\Windows\Start Menu\Programs",
    ),
    ("1777F761-68AD-4D8A-87BD-30B759FA33DD", r"%UserProfile%\Favorites"),
    ("18989B1D-99B5-455B-841C-AB7C74E4DDFC", r"%UserProfile%\Videos"),
    ("1AC14E77-02E7-4E5D-B744-2EB1AE5198B7", r"%SystemRoot%\System32"),
    ("33E28130-4E1E-4676-835A-98395C3BC3BB", r"%UserProfile%\Pictures"),
    ("374DE290-123F-4565-9164-39C4925E467B", r"%UserProfile%\Downloads"),
    ("3EB685DB-65F9-4CF6-A03A-E3EF65729F3D", r"%AppData%"),
    ("4BD8D571-6D19-48D3-BE97-422220080E43", r"%UserProfile%\Music"),
    ("52A4F021-7B75-48A9-9F6B-4B87A210BC8F", r"%AppData%\Microsoft\Internet Explorer\Quick Launch"),
    ("5CD7AEE2-2219-4A67-B85D-6C9CE15660CB", r"%LocalAppData%\Programs"),
    ("5E6C858F-0E22-4760-9AFE-EA3317B67173", r"%UserProfile%"),
    ("625B53C3-AB48-4EC1-BA1F-A1EF4146FC19", r"%AppData%\Microsoft\Windows\Start Menu"),
    ("62AB5D82-FDC1-4DC3-A9DD-070D1D495D97", r"%ProgramData%"),
    ("6365D5A7-0F0D-45E5-87F6-0DA56B6A4F7D", r"%CommonProgramFiles%"),
    ("6D809377-6AF0-444B-8957-A3773F02200E", r"%ProgramFiles%"),
    ("7C5A40EF-A0FB-4BFC-874A-C0F2E0B9FA8E", r"%ProgramFiles(x86)%"),
    (
        "82A5EA35-D9CD-47C5-9629-E15D2F714E6E",
        r"%ProgramData%\Microsoft\Windows\Start Menu\Programs\Startup",
    ),
    ("905E63B6-C1BF-494E-B29C-65B732D3D21A", r"%ProgramFiles%"),
    (
        "9E3995AB-1F9C-4F13-B827-48B24B6C7174",
        r"%AppData%\Microsoft\Internet Explorer\Quick Launch\User Pinned",
    ),
    ("A4115719-D62E-491D-AA7C-E74B8BE3B067", r"%ProgramData%\Microsoft\Windows\Start Menu"),
    ("A520A1A4-1780-4FF6-BD18-167343C5AF16", r"%UserProfile%\AppData\LocalLow"),
    ("A77F5D77-2E2B-44C3-A6A2-ABA601054A51", r"%AppData%\Microsoft\Windows\Start Menu\Programs"),
    ("AE50C081-EBD2-438A-8655-8A092E34987A", r"%AppData%\Microsoft\Windows\Recent"),
    ("B4BFCC3A-DB2C-424C-B029-7FE99A87C641", r"%UserProfile%\Desktop"),
    (
        "B97D20BB-F46A-4C97-BA10-5E3608430854",
        r"%AppData%\Microsoft\Windows\Start Menu\Programs\Startup",
    ),
    ("C4AA340D-F20F-4863-AFEF-F87EF2E6BA25", r"%Public%\Desktop"),
    ("D65231B0-B2F1-4857-A4CE-A8E7C6EA7D27", r"%SystemRoot%\SysWOW64"),
    ("DE974D24-D9C6-4D3E-BF91-F4455120B917", r"%CommonProgramFiles(x86)%"),
    ("DFDF76A2-C82A-4D63-906A-5644AC457385", r"%Public%"),
    ("ED4824AF-DCE4-45A8-81E2-FC7965083634", r"%Public%\Documents"),
    ("F1B32785-6FBA-4FCF-9D55-7B8E7F157091", r"%LocalAppData%"),
    ("F38BF404-1D43-42F2-9305-67DE0B28FC23", r"%SystemRoot%"),
    ("F7F1ED05-9F6D-47A2-AAAE-29D317C6F066", r"%CommonProgramFiles%"),
    ("FDD39AD0-238F-46AF-ADB4-6C85480369C7", r"%UserProfile%\Documents"),
    // Explorer's own, for the same folders.
    ("088E3905-0323-4B02-9826-5D99428E115F", r"%UserProfile%\Downloads"),
    ("1CF1260C-4DD0-4EBB-811F-33C572699FDE", r"%UserProfile%\Music"),
    ("3ADD1653-EB32-4CB0-BBD7-DFA0ABB5ACCA", r"%UserProfile%\Pictures"),
    ("59031A47-3F72-44A7-89C5-5595FE6B30EE", r"%UserProfile%"),
    ("A0953C92-50DC-43BF-BE83-3742FED03C9C", r"%UserProfile%\Videos"),
    ("A8CDFF1C-4878-43BE-B5FD-F8091C1C60D0", r"%UserProfile%\Documents"),
    ("D3162B92-9365-467A-956B-92703ACA08AF", r"%UserProfile%\Documents"),
    ("F86FA3AB-70D2-4FC9-9C99-FCBF05467F3A", r"%UserProfile%\Videos"),
    ("24AD3AD4-A569-4530-98E1-AB02F9417AA8", r"%UserProfile%\Pictures"),
    ("3DFDF296-DBEC-4FB4-81D1-6A3438BCF4DE", r"%UserProfile%\Music"),
];

/// The folder of a GUID (without braces, case aside).
pub(crate) fn folder(guid: &str) -> Option<&'static str> {
    FOLDERS.iter().find(|(id, _)| id.eq_ignore_ascii_case(guid)).map(|(_, folder)| *folder)
}

/// `path` with the GUID that it begins with in place of a folder (`{1AC1…}\cmd.exe`)
/// resolved; any other as it is.
pub(crate) fn resolved(path: &str) -> String {
    let parts = path.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    match parts.and_then(|(guid, rest)| Some((folder(guid)?, rest))) {
        Some((folder, rest)) if rest.is_empty() || rest.starts_with('\\') => {
            format!("{folder}{rest}")
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn a_guid_in_front_is_resolved() {
        let system = r"{1ac14e77-02e7-4e5d-b744-2eb1ae5198b7}\cmd.exe";
        assert_eq!(resolved(system), r"%SystemRoot%\System32\cmd.exe");
        for other in [r"C:\x.exe", r"{00000000-0000-0000-0000-000000000000}\x", "{", "{}"] {
            assert_eq!(resolved(other), other);
        }
    }
}
