//! Messages: what is sent is what is read.

use std::time::Duration;

use millrace_core::*;
use millrace_format::message::{
    self, CompleteMessage, EventMessage, FailMessage, ForkMessage, InboxMessage, PauseMessage, Report,
    ResetMessage, ResumeMessage, RetryMessage, SignalMessage, StartChild, StartMessage, StopMessage,
    UnpauseMessage,
};
use proptest::option::of;
use proptest::prelude::*;

use crate::runs::{how, kind};
use crate::values::*;

proptest! {
    #[test]
    fn outcome_messages(outcome in outcome(), run_id in any::<u128>()) {
        let (workflow_id, run_id) = (WorkflowId::new("w").unwrap(), Some(RunId::from_random(run_id)));
        let message = EventMessage { v: 1, namespace: Default::default(), workflow_id, run_id, report: Report::Outcome(outcome.clone()) };
        let read = message::read_event(&message::write(&message)).unwrap();
        prop_assert_eq!((read.run_id, read.message), (run_id, Message::Outcome(outcome)));
    }

    #[test]
    fn other_internal_messages(
        (workflow_id, run_id) in (workflow_id(), of(run_id())), n in any::<u64>(), (name, input) in (text(), payload()),
        request_id in request(), result in result(), (workflow, options, parent) in (workflow(), child_options(), parent()), how in how(), headers in headers(),
    ) {
        let child = StartChild { workflow: workflow.clone(), input: input.clone(), options: options.clone(), parent: parent.clone(), headers: headers.clone() };
        let stop = Stop { workflow: workflow.clone(), parent: parent.clone(), how, reason: name.clone() };
        let start = Start {
            workflow, input: input.clone(), request_id: parent.start_request(), id_reuse: options.id_reuse,
            id_conflict: IdConflict::Fail, run_timeout: options.run_timeout, execution_timeout: options.execution_timeout,
            delay: None, memo: options.memo, attributes: options.attributes, headers, signal: None, update: None, parent: Some(parent),
        };
        for (report, message) in [
            (Report::Timer { timer_id: n }, Message::Timer { timer_id: n }),
            (Report::Wake { wake: n }, Message::Wake { wake: n }),
            (
                Report::ChildOutcome { child_id: n, result: result.clone() },
                Message::ChildOutcome { child_id: n, result },
            ),
            (Report::StartChild(Box::new(child)), Message::Start(Box::new(start))),
            (Report::StopChild(Box::new(stop.clone())), Message::Stop(Box::new(stop))),
            (
                Report::Signal { name: name.clone(), input: input.clone(), request_id: request_id.clone() },
                Message::Signal { name: name.clone(), input, request_id: request_id.clone(), after: None },
            ),
            (
                Report::Cancel { reason: name.clone(), request_id: request_id.clone() },
                Message::Cancel { reason: name, request_id },
            ),
        ] {
            let written = EventMessage { v: 1, namespace: Namespace::new("prod").unwrap(), workflow_id: workflow_id.clone(), run_id, report };
            let read = message::read_event(&message::write(&written)).unwrap();
            prop_assert_eq!(read.namespace.as_str(), "prod");
            prop_assert_eq!((read.workflow_id, read.run_id, read.message), (workflow_id.clone(), run_id, message));
        }
    }

    #[test]
    fn tasks(kind in kind(), run_id in any::<u128>(), attempt in any::<u32>(), at in time(), input in payload(), options in options(), token in of(token()), headers in headers()) {
        let task = Task {
            v: 1,
            namespace: Default::default(), workflow_id: WorkflowId::new("w").unwrap(), run_id: RunId::from_random(run_id),
            workflow: WorkflowType::new("W").unwrap(), activity_id: 1, activity: kind.describe(),
            task_queue: TaskQueue::new("cpu").unwrap(), attempt, input, scheduled_at: at, available_at: at, options, token, headers,
        };
        prop_assert_eq!(message::read_task(&message::write(&task)).unwrap(), task);
    }

    #[test]
    fn completions(
        token in token(), result in payload(), failure in application(), request_id in of(outside()),
        namespace in of("[a-z]{1,9}"),
    ) {
        // A workflow id may contain dots, like the token's own.
        let token = CompletionToken { workflow_id: format!("{}.a.b", token.workflow_id).parse().unwrap(), ..token };
        prop_assert_eq!(token.to_string().parse::<CompletionToken>(), Ok(token.clone()));
        let namespace = namespace.map(|name| Namespace::new(name).unwrap());
        let complete = InboxMessage::Complete(CompleteMessage {
            kind: Default::default(), v: None, namespace: namespace.clone(), request_id: request_id.clone(),
            token: token.clone(), result: result.clone(),
        });
        let fail = InboxMessage::Fail(FailMessage {
            kind: Default::default(), v: Some(1), namespace: namespace.clone(), request_id, token: token.clone(), failure: failure.clone(),
        });
        let failed = OutcomeResult::Failed(Fault::Application(failure));
        for (written, result) in [(complete, OutcomeResult::Completed(result)), (fail, failed)] {
            let read = message::read_inbox(&message::write(&written), "m").unwrap();
            let (activity_id, attempt, secret) = (token.activity_id, token.attempt, token.secret.clone());
            let outcome = ActivityOutcome { activity_id, attempt, receive_count: 1, result };
            prop_assert_eq!(read.message, Message::Completion { secret, outcome });
            prop_assert_eq!((&read.workflow_id, read.run_id), (&token.workflow_id, Some(token.run_id)));
            prop_assert_eq!(read.namespace, namespace.clone().unwrap_or_default());
        }
    }

    #[test]
    fn inbox_messages(input in payload(), name in "[^\\x00]{1,9}", reason in text(), request_id in outside(), memo in of(payload()), id in "[a-z]{1,9}", headers in headers()) {
        let id = WorkflowId::new(id).unwrap();
        let base = (Some(1), None, None, Some(request_id.clone()));
        let start = StartMessage {
            kind: Default::default(), v: base.0, id: id.clone(), run_id: base.1, namespace: base.2, request_id: base.3.clone(),
            workflow: WorkflowType::new("W").unwrap(), input: input.clone(), id_reuse: IdReuse::RejectDuplicate,
            id_conflict: IdConflict::UseExisting, execution_timeout_s: Some(2.5), run_timeout_s: Some(1.25),
            memo: present(memo), attributes: None, headers: headers.clone(), start_delay_s: Some(0.5), update: None,
            signal: Some(WithStart { name: name.clone(), input: input.clone() }),
        };
        let asking = StartMessage { update: start.signal.clone(), signal: None, ..start.clone() };
        let read = message::read_inbox(&message::write(&InboxMessage::Start(asking)), "m").unwrap();
        let Message::Start(asking) = read.message else { panic!("a start") };
        prop_assert_eq!((&asking.update, &asking.signal), (&start.signal, &None));
        let read = message::read_inbox(&message::write(&InboxMessage::Start(start.clone())), "m").unwrap();
        let expected = Start {
            workflow: start.workflow, input: input.clone(), request_id: request_id.clone(), id_reuse: start.id_reuse,
            id_conflict: start.id_conflict, run_timeout: Some(Duration::from_millis(1_250)), memo: start.memo,
            attributes: None, headers, signal: start.signal, update: None, parent: None,
            execution_timeout: Some(Duration::from_millis(2_500)), delay: Some(Duration::from_millis(500)),
        };
        prop_assert_eq!((read.workflow_id, read.message), (id.clone(), Message::Start(Box::new(expected))));
        let stop = StopMessage { kind: Default::default(), v: None, id: id.clone(), run_id: None, namespace: None, request_id: base.3.clone(), reason: reason.clone() };
        let asked = SignalMessage { request_id: base.3.clone(), ..SignalMessage::new(id.clone(), name.clone(), input.clone(), None) };
        let after = RequestId::new(format!("{request_id}-")).ok();
        let ordered = SignalMessage { after: after.clone(), ..asked.clone() };
        for (written, expected) in [
            (InboxMessage::Update(asked), Message::Update { name: name.clone(), input: input.clone(), request_id: request_id.clone() }),
            (InboxMessage::Cancel(stop.clone()), Message::Cancel { reason: reason.clone(), request_id: request_id.clone() }),
            (InboxMessage::Terminate(stop), Message::Terminate { reason, request_id: request_id.clone() }),
            (
                InboxMessage::Signal(ordered),
                Message::Signal { name: name.clone(), input: input.clone(), request_id: request_id.clone(), after },
            ),
            (
                InboxMessage::Signal(SignalMessage { request_id: base.3.clone(), ..SignalMessage::new(id.clone(), name.clone(), input.clone(), None) }),
                Message::Signal { name, input, request_id: request_id.clone(), after: None },
            ),
            (
                InboxMessage::Resume(ResumeMessage { kind: Default::default(), v: None, id: id.clone(), run_id: None, namespace: None, request_id: base.3 }),
                Message::Resume { request_id },
            ),
        ] {
            prop_assert_eq!(message::read_inbox(&message::write(&written), "m").unwrap().message, expected);
        }
    }

    #[test]
    fn messages_that_intervene(
        (id, from) in (workflow_id(), workflow_id()), (run, from_run_id) in (run_id(), of(run_id())), request_id in of(outside()),
        (activity_id, maybe, event) in (any::<u64>(), of(any::<u64>()), any::<u64>()), reason in text(), reapply in any::<bool>(),
    ) {
        prop_assume!(id != from);
        let sent = request_id.clone().unwrap_or_else(|| RequestId::new("m").unwrap());
        let fork = |source: &WorkflowId, source_run, replaces| Message::Fork(Box::new(Fork {
            source: source.clone(), source_run, event, reapply, replaces, reason: reason.clone(), request_id: sent.clone(),
            log: Err("from: the source was not read".into()),
            replaced: None,
        }));
        let pause = PauseMessage { request_id: request_id.clone(), ..PauseMessage::new(id.clone(), maybe, reason.clone()) };
        let unpause = UnpauseMessage { request_id: request_id.clone(), ..UnpauseMessage::new(id.clone(), maybe) };
        let retry = RetryMessage { request_id: request_id.clone(), ..RetryMessage::new(id.clone(), activity_id) };
        let reset = ResetMessage { request_id: request_id.clone(), ..ResetMessage::new(id.clone(), event, reason.clone(), reapply) };
        let forked = ForkMessage { request_id, ..ForkMessage::new(id.clone(), from.clone(), from_run_id, event, reason.clone(), reapply) };
        for (written, run_id, expected) in [
            (InboxMessage::Pause(pause.of_run(Some(run))), Some(run), Message::Pause { activity_id: maybe, reason: reason.clone(), request_id: sent.clone() }),
            (InboxMessage::Unpause(unpause), None, Message::Unpause { activity_id: maybe, request_id: sent.clone() }),
            (InboxMessage::Retry(retry), None, Message::Retry { activity_id, request_id: sent.clone() }),
            // Whatever run is open is replaced: the one that is named is where the events come from.
            (InboxMessage::Reset(reset.of_run(Some(run))), None, fork(&id, Some(run), true)),
            (InboxMessage::Fork(forked), None, fork(&from, from_run_id, false)),
        ] {
            let body = message::write(&written);
            let read = message::read_inbox(&body, "m").unwrap();
            prop_assert_eq!((&read.workflow_id, read.run_id, read.message), (&id, run_id, expected));
            prop_assert_eq!(message::read_request(&body).unwrap(), written);
        }
    }
}
