//! Tokens and what must never leave.

use super::*;

const KSUID: &str = "2aBcDeFgHiJkLmNoPqRsTuVwXyZ_4TestFixtureTokenOnly1";
const LEGACY: &str = "4nq9771bPxe8ctg7LKr_5ClZ7Y15Z4FixtureOnlyx";

/// `KEY` and `SECRET` stand for the two tokens, in both texts.
fn check(text: &str) {
    let text = text.replace("KSUID", KSUID).replace("LEGACY", LEGACY);
    let shown = redact_text(&text);
    for secret in [KSUID, LEGACY, "hunter2", "S3cret!", "password1234"] {
        assert!(!shown.contains(secret), "{text} -> {shown}");
    }
    assert!(shown.contains("…sha256:"), "{text} -> {shown}");
    assert_eq!(redact_text(&shown), shown, "twice: {text}");
}

fn untouched(text: &str) {
    assert_eq!(redact_text(text), text);
}

#[test]
fn secrets_are_found_in_every_form() {
    for text in [
        "ngrok.exe config add-authtoken KSUID",
        "ngrok config add-authtoken LEGACY",
        "ngrok.exe authtoken LEGACY",
        r#""C:\a b\svchost_.exe" authtoken hunter2"#,
        r#""C:\a b\x.exe" authtoken --config "C:\my files\n.yml" LEGACY"#,
        "ngrok tcp 3389 --authtoken KSUID --region eu",
        "ngrok tcp 3389 --authtoken=LEGACY --region eu",
        "ngrok -authtoken=LEGACY tcp 22",
        "ngrok -authtoken LEGACY tcp 22",
        "ngrok tcp 22 --authtoken \"hunter2\"",
        "authtoken: LEGACY\nregion: us",
        "  authtoken: 'hunter2'",
        "auth_token: hunter2 # mine",
        "{\"authtoken\":\"LEGACY\",\"region\":\"eu\"}",
        r#"{\"authtoken\":\"hunter2\"}"#,
        "{\"ScriptBlockText\":\"$t = 'KSUID'\"}",
        "set NGROK_AUTHTOKEN=LEGACY",
        "setx NGROK_AUTHTOKEN hunter2",
        "$env:NGROK_AUTHTOKEN = \"hunter2\"",
        "NGROK_API_KEY=KSUID ngrok api endpoints list",
        "ngrok api --api-key hunter2 endpoints list",
        "[\"config\",\"add-authtoken\",\"hunter2\"]",
        "plink.exe -R 9000:127.0.0.1:3389 -P 443 -pw hunter2 bob@203.0.113.9",
        "tool --password=hunter2",
        "tool --password 'S3cret! x'",
        "password: hunter2",
        "ngrok http 80 --basic-auth user:password1234",
        "ngrok http 80 --basic-auth='user:password1234'",
        "basic_auth:\r\n  - \"user:password1234\"\r\n  - bob:hunter2",
        "basic_auth: [\"user:password1234\", \"bob:hunter2\"]",
        "ngrok http -auth=\"user:password1234\" 80",
        "  auth: user:password1234",
        "cloudflared.exe tunnel run --token hunter2",
        "proxy_url: http://user:hunter2@proxy:8080",
        "npc.exe -server=1.2.3.4:8024 -vkey=hunter2 -type=tcp",
        "cmd /c net user support hunter2 /add",
        "C:\\Windows\\system32\\net1.exe user support S3cret! /add",
        "\"C:\\Windows\\system32\\net.exe\" user support hunter2",
        "cmdkey /add:host /user:bob /pass:hunter2",
        "schtasks /create /ru bob /rp hunter2 /tn x",
        "sshpass -p hunter2 ssh bob@host",
        "ConvertTo-SecureString -String 'hunter2' -AsPlainText -Force",
        "ConvertTo-SecureString \"hunter2\" -AsPlainText -Force",
        "sc config x obj= bob password= hunter2",
    ] {
        check(text);
    }
    assert!(redact_text("--basic-auth user:hunter2").starts_with("--basic-auth user:…sha256:"));
    let shown = redact_text("basic_auth:\n  - a:hunter2\n  - b:hunter2\n").into_owned();
    assert_eq!(shown.matches("…sha256:").count(), 2);
}

#[test]
fn cloudflared_service_tokens_are_found_by_their_shape() {
    let token = format!("eyJhIjoi{}", "Q0FGRUJBQkU".repeat(8));
    let shown = redact_text(&format!("cloudflared service install {token}")).into_owned();
    assert!(!shown.contains(&token) && shown.contains("…sha256:"));
    // `{"a":"0123abcd","t":"11111111-2222-3333-4444-555555555555","s":"c2VjcmV0"}`
    let token = concat!(
        "eyJhIjoiMDEyM2FiY2QiLCJ0IjoiMTExMTExMTEtMjIyMi0zMzMzLTQ0NDQtNTU1NTU1NTU1NTU1",
        "IiwicyI6ImMyVmpjbVYwIn0="
    );
    let ids: Vec<String> = tokens_in(&format!("cloudflared tunnel run --token {token}"))
        .into_iter()
        .map(|token| token.id)
        .collect();
    assert_eq!(ids, ["11111111-2222-3333-4444-555555555555", "account 0123abcd"]);
}

#[test]
fn what_is_no_secret_stays() {
    untouched("https://dashboard.ngrok.com/get-started/your-authtoken");
    untouched("Your authtoken is missing; the authtoken configured before was removed");
    untouched("ngrok config add-authtoken");
    untouched("ngrok tcp 3389 --region eu --log C:\\a.log");
    untouched("http://localhost:4040/inspect and user@example.com:22");
    untouched("PasswordLastSet 2024-03-18; password: false");
    untouched("C:\\Windows\\WinSxS\\amd64_microsoft-windows_31bf3856ad364e35_10.0.19041.1_none");
    untouched("net user /domain");
    untouched("net user support /active:yes");
    untouched("an internet user may not read it; the .net user does");
    untouched("ConvertTo-SecureString $plain -AsPlainText -Force");
    untouched("");
    assert!(matches!(redact_text("nothing here"), Cow::Borrowed(_)));
}

#[test]
fn shown_forms() {
    assert_eq!(
        redact_text(&format!("x {KSUID} y")),
        format!("x 2aBcDeFgHiJkLmNoPqRsTuVwXyZ…sha256:{} y", fingerprint(KSUID))
    );
    assert_eq!(redact_text("authtoken: abc"), format!("authtoken: …sha256:{}", fingerprint("abc")));
    assert_eq!(fingerprint("abc"), "ba7816bf");
    // What a sentence puts behind it is none of a token.
    for text in ["--authtoken {}: the agent started", "ngrok config add-authtoken {}, and"] {
        let shown = redact_text(&text.replace("{}", LEGACY)).into_owned();
        assert_eq!(
            shown,
            text.replace("{}", &format!("…sha256:{}", fingerprint(LEGACY))),
            "{text}"
        );
    }
}

#[test]
fn ids_and_mint_times() {
    // The specification's example: 2017-10-09 21:00:47 -0700.
    let minted = mint_time("0ujtsYcgvSTl8PAuAdqWYSMnLOv").map(|t| t.to_string());
    assert_eq!(minted.as_deref(), Some("2017-10-10T04:00:47Z"));
    assert_eq!(mint_time("zzzzzzzzzzzzzzzzzzzzzzzzzzz"), None);
    let found = tokens_in(&format!("authtoken: {LEGACY}\napi_key: {KSUID}\nauthtoken: {KSUID}"));
    let ids: Vec<&str> = found.iter().map(|t| t.id.as_str()).collect();
    let [legacy, api, auth] = ids.as_slice() else { panic!("{ids:?}") };
    assert!(legacy.starts_with("sha256:") && found[0].minted.is_none());
    assert_eq!(*api, "ak_2aBcDeFgHiJkLmNoPqRsTuVwXyZ");
    assert_eq!(*auth, "cr_2aBcDeFgHiJkLmNoPqRsTuVwXyZ");
    assert!(found[1].minted.is_some());
    assert!(tokens_in("nothing").is_empty());
}

#[test]
fn a_redacted_token_is_the_same_token() {
    for text in [
        format!("authtoken: {LEGACY}\napi_key: {KSUID}\nauthtoken: {KSUID}"),
        format!("NGROK_AUTHTOKEN={KSUID}"),
        format!("ngrok tcp 22 --authtoken {KSUID} --log stdout"),
        format!("said {KSUID}, twice"),
    ] {
        let shown = redact_text(&text);
        assert!(!shown.contains(KSUID) && !shown.contains(LEGACY), "{shown}");
        assert_eq!(tokens_in(&shown), tokens_in(&text), "{shown}");
    }
}

#[test]
fn any_mixture_is_stable_and_never_panics() {
    let parts = [
        "authtoken",
        "--authtoken",
        " ",
        ":",
        "=",
        "\"",
        "'",
        KSUID,
        LEGACY,
        "password",
        "-pw",
        "\n",
        "- ",
        "basic_auth",
        "://",
        "@",
        "user:pass",
        "…",
        "é",
        "\\",
        "…sha256:deadbeef",
        "[",
        ",",
        "eyJhIjoi",
        "auth:",
        "\t",
        "--token",
        "add-",
        "api_key",
        "\u{1F600}",
        "_",
        "x",
        "&quot;",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text.push_str(parts[usize::try_from(seed % parts.len() as u64).unwrap()]);
        }
        text.push_str(&format!(" {KSUID} "));
        let once = redact_text(&text).into_owned();
        assert!(!once.contains(&format!(" {KSUID} ")), "{text:?}");
        assert_eq!(redact_text(&once), once, "{text:?}");
        tokens_in(&text);
    }
}
