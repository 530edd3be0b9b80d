//! Published state: what the code shows is in the header.

use crate::script::*;

#[test]
fn published_state_is_committed_though_no_command_follows() {
    let mut world = World::started([
        (On::Started, Do::Publish("{\"step\":1}", vec![])),
        (On::Signal("next"), Do::Publish("{\"step\":2}", vec![])),
        (On::Signal("end"), Do::Publish("{\"step\":3}", vec![complete("null")])),
    ]);
    let shown = |world: &World| world.run().published.as_ref().map(|p| p.as_str().to_owned());
    assert_eq!(shown(&world).as_deref(), Some("{\"step\":1}"));
    let decision = world.turn(&[signal("s1", "next")]);
    assert!(decision.header_changed);
    assert_eq!(shown(&world).as_deref(), Some("{\"step\":2}"));
    world.turn(&[signal("s2", "end")]);
    assert_eq!(shown(&world).as_deref(), Some("{\"step\":3}"));
}

#[test]
fn published_state_survives_a_block() {
    let mut world =
        World::started([(On::Started, Do::Publish("1", vec![])), (On::Signal("bug"), panics("bug"))]);
    world.turn(&[signal("s1", "bug")]);
    assert_eq!(world.run().published.as_ref().map(|p| p.as_str()), Some("1"));
}
