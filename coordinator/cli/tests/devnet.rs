//! `zq devnet`: what cannot be meant is refused before anything is started.

use std::process::Command;

#[test]
fn a_devnet_that_cannot_be_meant_is_refused() {
    for (arguments, why) in [
        (&["--byzantine", "9=flip"][..], "member 9: slots are 1 to 5"),
        (
            &["--byzantine", "2=flip,2=copycat"],
            "member 2 is named twice",
        ),
        (
            &["--byzantine", "2=rude"],
            "faults are flip copycat bad-share no-share",
        ),
        (&["--byzantine", "flip"], "SLOT=FAULT"),
        (&["--wasmi", "0"], "member 0: slots are 1 to 5"),
        (&["--members", "3"], "3"),
        (&["--threshold", "2"], "2"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_zq"))
            .arg("devnet")
            .args(arguments)
            .output()
            .expect("zq starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
