//! What an author reads who holds it wrong. After a change on purpose: `TRYBUILD=overwrite cargo test`.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
