use super::names::{image, sid};
use super::*;

#[test]
fn programs_in_every_form() {
    for (text, expected) in [
        (
            r"\device\harddiskvolume3\users\jane\ngrok.exe",
            r"\device\harddiskvolume3\users\jane\ngrok.exe",
        ),
        ("!!ngrok.exe!2022/03/18:20:18:05!2f31a!", "ngrok.exe"),
        ("!!svchost.exe!1972/12/14:16:22:50!1c364![NetworkService] [Dnscache]", "svchost.exe"),
        ("Pack_1.0_x64__a!App!Photos.exe!2019/07/26:03:32:46!0!", "Photos.exe"),
        ("Pack_1.0_x64__a", "Pack_1.0_x64__a"),
        ("!!!!", "!!!!"),
        ("", ""),
    ] {
        assert_eq!(image(text), expected);
    }
}

#[test]
fn users_and_days() {
    let system = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    assert_eq!(sid(&system).as_deref(), Some("S-1-5-18"));
    assert_eq!(sid(&system[..10]), None);
    let at = written_at(4_676_366_809_043_158_812, HOURLY);
    assert_eq!(at.raw, "2022-03-10T16:35:00.000Z");
    for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        assert_eq!(written_at(wrong.to_bits(), HOURLY).at, None);
    }
}
