//! No reply of a provider makes `next` panic.
#![no_main]

use kassir_providers::Step;
use kassir_providers_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::read(data) else { return };
    let Input { provider, account, operation, memo, reply, .. } = &input;
    let begun = provider.begin(operation, account);
    let memos = match begun {
        Step::Send { memo: own, .. } | Step::FollowUp { memo: own, .. } => vec![own, memo.clone()],
        Step::Done(_) | Step::Failed(_) => vec![memo.clone()],
    };
    for memo in memos {
        if let Step::Failed(failure) = provider.next(operation, &memo, reply, account) {
            assert!(!failure.why.is_empty());
        }
    }
});
