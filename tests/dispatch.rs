//! Sending against real targets: scripted servers on loopback that answer well, badly, late, or not at all.

mod dispatch {
    mod answers;
    mod connections;
    mod limits;
    mod messages;
    mod names;
    mod once;
    mod requests;
    mod support;
    mod tls;
    mod told;
}
