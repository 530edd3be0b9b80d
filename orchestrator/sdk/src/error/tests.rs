use super::*;

#[derive(Debug)]
struct Outer(Canceled);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn failed(error: impl Into<WorkflowError>) -> (String, String) {
    match error.into() {
        WorkflowError::Failed(Fault::Application(f)) => (f.kind, f.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_error_passes_with_the_short_name_of_its_type() {
    assert_eq!(failed("a text"), ("Error".into(), "a text".into()));
    assert_eq!(failed("12x".parse::<u32>().unwrap_err()).0, "ParseIntError");
    assert_eq!(failed(anyhow::anyhow!("no")), ("Error".into(), "no".into()));
    assert_eq!(failed(Box::<dyn Error + Send + Sync>::from("boxed")), ("Error".into(), "boxed".into()));
}

#[test]
fn our_own_types_keep_their_meaning() {
    let declined = ApplicationFailure::new("Declined", "x").non_retryable();
    let fault = Fault::Application(declined.clone());
    assert_eq!(WorkflowError::from(declined.clone()).fault(), Some(&fault));
    assert_eq!(WorkflowError::from(anyhow::Error::new(declined).context("paying")).fault(), Some(&fault));
    let failure = ActivityFailure { activity: "pay".into(), attempts: 2, fault: fault.clone() };
    assert_eq!(WorkflowError::from(failure).fault(), Some(&fault));
    assert_eq!(ActivityError::from(Stopped(fault.clone())), ActivityError::Failed(fault));
}

#[test]
fn a_cancellation_is_one_under_the_authors_error_too() {
    let canceled = Canceled { reason: "why".into() };
    assert!(WorkflowError::from(Outer(canceled.clone())).is_canceled());
    assert_eq!(ActivityError::from(canceled.clone()), ActivityError::Canceled(canceled));
}

#[test]
fn causes_are_kept() {
    let error = anyhow::anyhow!("inner").context("outer");
    let WorkflowError::Failed(Fault::Application(f)) = error.into() else { panic!() };
    assert_eq!((f.message.as_str(), f.causes), ("outer", vec!["inner".to_owned()]));
}
