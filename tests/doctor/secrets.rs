//! Files that others must not read, and certificates that end.

use std::fs;

use super::support::server::command;
use super::{Machine, chmod};

#[test]
fn secrets_that_others_can_read_are_wrong() {
    let machine = Machine::new();
    let made = command(&["secrets", "init", &machine.text("home/secrets.key")]).output().expect("the binary is there");
    assert!(made.status.success());
    let flags = ["--secrets-key=secrets.key"];
    assert_eq!(machine.findings(&flags).wrong(), [""; 0]);
    chmod(&machine.path("home/secrets.key"), 0o644);
    let findings = machine.findings(&flags);
    assert_eq!(findings.wrong(), ["configuration"]);
    findings.has("FAIL", "configuration", "others have access to it (mode 0644); chmod 600");

    machine.write("home/contexts.json", "{}");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    machine.write("home/cert.pem", &made.cert.pem());
    machine.write("home/key.pem", &made.signing_key.serialize_pem());
    let flags = ["--tls-cert=cert.pem", "--tls-key=key.pem", "--bootstrap-token-file=token"];
    for name in ["home/contexts.json", "home/key.pem"] {
        chmod(&machine.path(name), 0o644);
    }
    let findings = machine.findings(&flags);
    assert_eq!(findings.wrong(), ["secret files"; 2]);
    findings.has("FAIL", "secret files", "others can read key.pem, the key of the certificate");
    findings.has("FAIL", "secret files", "contexts.json, the tokens of contexts");
    for name in ["home/contexts.json", "home/key.pem"] {
        chmod(&machine.path(name), 0o640);
    }
    machine.findings(&flags).has("OK", "secret files", "2 looked at");
}

#[test]
fn a_certificate_is_told_of_by_its_times() {
    let machine = Machine::new();
    let today = chrono::Utc::now().date_naive();
    let certify = |name: &str, begins: i64, ends: i64| {
        use chrono::Datelike;
        let day = |days: i64| {
            let day = today + chrono::TimeDelta::days(days);
            let small = |number: u32| u8::try_from(number).expect("a month or a day is small");
            rcgen::date_time_ymd(day.year(), small(day.month()), small(day.day()))
        };
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        (parameters.not_before, parameters.not_after) = (day(begins), day(ends));
        let key = rcgen::KeyPair::generate().expect("a key");
        machine.write(&format!("home/{name}.pem"), &parameters.self_signed(&key).expect("a certificate").pem());
        machine.write(&format!("home/{name}.key"), &key.serialize_pem());
        chmod(&machine.path(&format!("home/{name}.key")), 0o600);
    };
    let look = |name: &str| machine.findings(&[&format!("--tls-cert={name}.pem"), &format!("--tls-key={name}.key")]);
    certify("good", -10, 90);
    certify("late", -400, -2);
    certify("near", -80, 9);
    certify("early", 2, 90);
    let ends = |days: i64| format!("{}T00:00:00.000Z", today + chrono::TimeDelta::days(days));
    assert_eq!(look("good").wrong(), [""; 0]);
    look("good").has("OK", "certificate", &format!("it ends at {}", ends(90)));
    look("near").has("WARN", "certificate", &format!("it ends at {}", ends(9)));
    look("late").has("FAIL", "certificate", &format!("it ended at {}: no client takes it", ends(-2)));
    assert_eq!(look("late").wrong(), ["certificate"]);
    look("early").has("FAIL", "certificate", &format!("it counts from {} only", ends(2)));
    // What leads to a root counts, too.
    let text = |name: &str| fs::read_to_string(machine.path(&format!("home/{name}.pem"))).expect("it is there");
    machine.write("home/good.pem", &format!("{}{}", text("good"), text("late")));
    look("good").has("FAIL", "certificate", &format!("it ended at {}", ends(-2)));
    machine.write("home/good.pem", "nothing");
    look("good").has("FAIL", "configuration", "--tls-cert: failed to use good.pem").has(
        "FAIL",
        "certificate",
        "good.pem",
    );
}
