#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn shown(name: &str, bytes: &[u8]) -> String {
    let option = find_by_name(name).unwrap();
    option.render(&option.decode(bytes))
}

#[test]
fn names_and_numbers_stand_once() {
    for (position, option) in OPTIONS.iter().enumerate() {
        assert!(
            std::ptr::eq(find(option.level, option.number).unwrap(), option),
            "{} shares its number",
            option.name
        );
        assert!(
            std::ptr::eq(find_by_name(option.name).unwrap(), option),
            "{} stands twice",
            option.name
        );
        let next = OPTIONS.get(position + 1);
        assert!(
            next.is_none_or(|next| next.level != option.level || next.number > option.number),
            "{} is out of order",
            option.name
        );
        assert!(
            option.meaning.ends_with('.')
                && option.meaning.chars().filter(|c| *c == '.').count() >= 1,
            "{}",
            option.name
        );
        assert!(option.applies != 0 && (option.secret || option.read_size() <= 512));
    }
    assert!(OPTIONS.len() > 200);
}

#[test]
fn values_read_as_people_write_them() {
    assert_eq!(shown("SO_REUSEADDR", &[1, 0, 0, 0]), "on");
    assert_eq!(
        shown("SO_RCVBUF", &212_992_i32.to_ne_bytes()),
        "212992 bytes"
    );
    assert_eq!(shown("SO_TYPE", &[1, 0, 0, 0]), "SOCK_STREAM");
    assert_eq!(shown("SO_ERROR", &111_i32.to_ne_bytes()), "ECONNREFUSED");
    assert_eq!(shown("SO_ERROR", &[0; 4]), "none");
    assert_eq!(shown("IP_TOS", &[16]), "16");
    assert_eq!(shown("TCP_CONGESTION", b"bbr\0\0\0"), "\"bbr\"");
    assert_eq!(
        shown("SO_LINGER", &[1, 0, 0, 0, 5, 0, 0, 0]),
        "{on=on, seconds=5}"
    );
    let mut time = 2_i64.to_ne_bytes().to_vec();
    time.extend(500_000_i64.to_ne_bytes());
    assert_eq!(shown("SO_RCVTIMEO", &time), "2500 ms");
    assert_eq!(shown("SO_RCVTIMEO", &[0; 16]), "no limit");
    assert_eq!(shown("SO_MAX_PACING_RATE", &[0xff; 8]), "no limit");
    assert_eq!(
        shown("SO_TIMESTAMPING", &[16 + 8, 0, 0, 0]),
        "{flags=RX_SOFTWARE|SOFTWARE}"
    );
    assert_eq!(
        shown("IP_ADD_MEMBERSHIP", &[224, 0, 0, 251, 127, 0, 0, 1]),
        "{group=\"224.0.0.251\", address=\"127.0.0.1\"}"
    );
    assert_eq!(
        shown("IP_LOCAL_PORT_RANGE", &[0x10, 0x27, 0x20, 0x4e]),
        "{low=10000, high=20000}"
    );
    assert_eq!(
        shown("TCP_MD5SIG", &[7; 216]),
        "(216 bytes with a key, not shown)"
    );
    assert_eq!(decode(1, 999, &[5, 0, 0, 0]).0, "5");
    assert_eq!(render_name(1, 999), "SOL_SOCKET/999");
    assert_eq!(render_name(6, 1), "TCP_NODELAY");
}

#[test]
fn wrong_values_say_what_is_wanted() {
    let wrong = |name: &str, value: Value| {
        find_by_name(name)
            .unwrap()
            .encode(&value)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        wrong("SO_TYPE", Value::Int(1)),
        "SO_TYPE takes no value: it can only be read"
    );
    assert_eq!(
        wrong("SO_RCVBUF", Value::Text("big".into())),
        "SO_RCVBUF takes a number of 32 bits"
    );
    assert_eq!(
        wrong("SO_RCVBUF", Value::Int(1 << 40)),
        "SO_RCVBUF takes a number of 32 bits"
    );
    assert_eq!(
        wrong("SO_RCVTIMEO", Value::Microseconds(-1)),
        "SO_RCVTIMEO takes a time that is not negative"
    );
    assert_eq!(
        wrong(
            "IP_LOCAL_PORT_RANGE",
            Value::Fields(vec![("low", Value::Int(70_000))])
        ),
        "IP_LOCAL_PORT_RANGE takes low and high ports from 0 to 65535"
    );
    assert_eq!(
        wrong(
            "IP_ADD_MEMBERSHIP",
            Value::Fields(vec![("grp", Value::Nothing)])
        ),
        "IP_ADD_MEMBERSHIP takes only the members of its struct"
    );
}

proptest! {
    #[test]
    fn any_bytes_decode_and_print(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for option in OPTIONS {
            let value = option.decode(&bytes);
            prop_assert!(option.render(&value).len() < 8000);
        }
    }

    #[test]
    fn encoding_undoes_decoding(bytes in proptest::collection::vec(any::<u8>(), 520..600)) {
        for option in OPTIONS.iter().filter(|option| option.access.settable() && !option.secret) {
            let value = option.decode(&bytes);
            if let Ok(encoded) = option.encode(&value) {
                prop_assert_eq!(option.decode(&encoded), value, "{}", option.name);
            }
        }
    }
}
