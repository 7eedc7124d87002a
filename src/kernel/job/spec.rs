//! Owns what a job means: its definition compiled, compact, shared, and always valid.
//! It must not decide what follows from it: the core does.

use std::sync::Arc;

use super::post::Rare as RarePost;
use super::request::{self, RequestDefinition};
use super::retry::Retry;
use super::secrets::{Secrets, Wanted};
use super::timing::{Drawn, Timing};
use super::{
    AlertPolicy, ConcurrencyKey, Context, Definition, Delivery, Failure, FieldError, Labels, MisfireRule, Overlap,
    Post, RetryPolicy, Statuses, TargetUrl, UNSEALABLE, bounded, headers,
};
use crate::schedule::{Rule, Schedule};
use crate::time::Instant;

/// A definition, compiled. Both conversions take the other side apart member by member, so that a forgotten one does
/// not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// When to fire.
    pub schedule: Arc<Schedule>,
    /// What to send.
    pub post: Post,
    /// False while paused.
    pub active: bool,
    /// Whether the seed of its schedule was drawn for it.
    seed_drawn: Drawn,
    /// What few jobs say; None: this one says none of it.
    rare: Option<Box<Rare>>,
}

/// Members that few jobs have. They cost the others one word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    misfire: Option<MisfireRule>,
    retry: Option<Retry>,
    overlap: Overlap,
    concurrency_key: Option<ConcurrencyKey>,
    max_runs: Option<u32>,
    auto_pause_after: Option<u32>,
    pause_on: Option<Statuses>,
    labels: Option<Box<Labels>>,
    alerts: Option<Box<AlertPolicy>>,
    /// What was said of secrets, until it is known which are meant.
    wanted: Option<Box<Wanted>>,
}

impl Rare {
    /// Whether any of it decides about an execution.
    fn has_policies(&self) -> bool {
        let Rare {
            misfire,
            retry,
            overlap,
            concurrency_key,
            max_runs,
            auto_pause_after,
            pause_on,
            labels: _,
            alerts: _,
            wanted: _,
        } = self;
        let may_run = *overlap != Overlap::default() || concurrency_key.is_some() || max_runs.is_some();
        let may_end = auto_pause_after.is_some() || pause_on.is_some();
        misfire.is_some() || retry.is_some() || may_run || may_end
    }
}

impl JobSpec {
    /// What a definition means.
    ///
    /// # Errors
    /// Names the member that is wrong, and what was expected.
    pub fn compile(definition: &Definition, context: &Context<'_>) -> Result<JobSpec, FieldError> {
        let Definition {
            schedule,
            run_at,
            run_after_ms,
            api,
            delivery,
            active,
            misfire,
            retry,
            overlap,
            concurrency_key,
            max_runs,
            auto_pause_after,
            pause_on,
            alerts,
            method,
            headers,
            secret_headers,
            auth,
            signing_secret,
            body,
            json,
            timeout_ms,
            success,
            time_zone,
            dst,
            spread_seconds,
            spread_seed,
            starts_at,
            ends_at,
            exclude_dates,
            exclude_calendars,
            name: _,
            tags: _,
            owner: _,
        } = definition;
        let timing = Timing {
            schedule: schedule.clone(),
            run_at: run_at.clone(),
            run_after_ms: *run_after_ms,
            time_zone: time_zone.clone(),
            dst: dst.clone(),
            spread_seconds: *spread_seconds,
            spread_seed: *spread_seed,
            starts_at: starts_at.clone(),
            ends_at: ends_at.clone(),
            exclude_dates: exclude_dates.clone(),
            exclude_calendars: exclude_calendars.clone(),
        };
        let (schedule, seed_drawn) = timing.compile_and_tell(context)?;
        let url = TargetUrl::parse(api).map_err(|why| FieldError::new("api", why))?;
        let delivery = Delivery::compile(delivery)?;
        let wanted = Wanted { auth: auth.clone(), headers: secret_headers.clone(), signing: signing_secret.clone() };
        if let (false, Some(member)) = (context.seals, wanted.named()) {
            return Err(FieldError::new(member, UNSEALABLE));
        }
        let rare = Rare {
            misfire: misfire.as_ref().map(MisfireRule::compile).transpose()?,
            retry: retry.as_ref().map(Retry::compile).transpose()?,
            overlap: overlap.as_deref().map_or(Ok(Overlap::default()), Overlap::compile)?,
            concurrency_key: concurrency_key.as_ref().map(ConcurrencyKey::compile).transpose()?,
            max_runs: count("maxRuns", *max_runs)?,
            auto_pause_after: count("autoPauseAfter", *auto_pause_after)?,
            pause_on: pause_on.as_deref().map(|entries| Statuses::compile("pauseOn", entries)).transpose()?,
            labels: Labels::compile(definition)?,
            alerts: alerts.as_ref().map(AlertPolicy::compile).transpose()?.map(Box::new),
            wanted: (wanted != Wanted::default()).then(|| Box::new(wanted)),
        };
        json.as_ref().map_or(Ok(()), |json| json.check_depth(context.json_depth_max))?;
        let request = request::compile(RequestDefinition {
            method: method.clone(),
            headers: headers.clone(),
            body: body.clone(),
            json: json.clone(),
            timeout_ms: *timeout_ms,
            success: success.clone(),
        })?;
        let sent = request.headers.iter().map(|header| (&header.name, header.value.len()));
        headers::check("headers", sent, false)?;
        let request = (request != RarePost::default()).then(|| Box::new(request));
        Ok(JobSpec {
            schedule,
            post: Post { url, delivery, rare: request },
            active: active.unwrap_or(true),
            seed_drawn,
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
        })
    }

    /// Whether it has any policy of its own, beside how often it is sent.
    pub fn has_policies(&self) -> bool {
        self.rare.as_deref().is_some_and(Rare::has_policies)
    }

    /// What people call it; None: nothing.
    pub fn labels(&self) -> Option<&Labels> {
        self.rare.as_deref()?.labels.as_deref()
    }

    /// What no other job is called.
    pub fn name(&self) -> Option<&str> {
        self.labels()?.name.as_deref()
    }

    /// What becomes of missed instants, as far as the job says it.
    pub fn misfire(&self) -> MisfireRule {
        self.rare.as_deref().and_then(|rare| rare.misfire).unwrap_or_default()
    }

    /// How failed attempts are repeated, where the server was told this.
    pub fn retry(&self, server: &RetryPolicy) -> RetryPolicy {
        self.rare.as_deref().and_then(|rare| rare.retry.as_ref()).map_or(*server, |retry| retry.over(server))
    }

    /// Whether a failure is followed by another attempt at all.
    pub fn is_retried(&self, failure: Failure) -> bool {
        self.rare.as_deref().and_then(|rare| rare.retry.as_ref()).is_none_or(|retry| retry.is_on(failure))
    }

    /// What becomes of an execution that is due while another one runs.
    pub fn overlap(&self) -> Overlap {
        self.rare.as_deref().map(|rare| rare.overlap).unwrap_or_default()
    }

    /// What it shares with others that must not run too often or too much at once.
    pub fn concurrency_key(&self) -> Option<&ConcurrencyKey> {
        self.rare.as_deref()?.concurrency_key.as_ref()
    }

    /// How many scheduled executions are fired at most.
    pub fn max_runs(&self) -> Option<u64> {
        self.rare.as_deref()?.max_runs.map(u64::from)
    }

    /// How many failures in a row pause the job.
    pub fn auto_pause_after(&self) -> Option<u32> {
        self.rare.as_deref()?.auto_pause_after
    }

    /// Whether an answer with this status pauses the job.
    pub fn is_paused_by(&self, status: u16) -> bool {
        self.rare.as_deref().and_then(|rare| rare.pause_on.as_ref()).is_some_and(|statuses| statuses.contains(status))
    }

    /// When somebody is told of trouble with it, as far as it says so.
    pub fn alerts(&self) -> Option<&AlertPolicy> {
        self.rare.as_deref()?.alerts.as_deref()
    }

    /// What was said of secrets, which is to be looked into now.
    pub(super) fn take_wanted(&mut self) -> Wanted {
        let Some(rare) = self.rare.as_deref_mut() else { return Wanted::default() };
        let wanted = rare.wanted.take().map(|wanted| *wanted).unwrap_or_default();
        if *rare == Rare::default() {
            self.rare = None;
        }
        wanted
    }

    /// Checks that the schedule has an instant after `now`. One that has none any more is still a job's: it is only
    /// not accepted from a client.
    ///
    /// # Errors
    /// When there is none.
    pub fn check_future(&self, now: Instant) -> Result<(), FieldError> {
        if self.schedule.next_after(now).is_some() {
            return Ok(());
        }
        let member = match self.schedule.terms().rule {
            Rule::Text(_) => "schedule",
            Rule::At(_) => "runAt",
        };
        let text = self.schedule.text();
        let message = format!("expected at least one time in the future, but {text:?} has none");
        Err(FieldError { member, message })
    }

    /// Whether the other spec's schedule is read from the same terms, whatever it counts from and whatever dates its
    /// calendars have.
    pub fn has_schedule_of(&self, other: &JobSpec) -> bool {
        self.schedule.has_terms_of(&other.schedule)
    }

    /// The same without what goes without saying: what holds for a job that does not say it, whatever the server was
    /// told, and an order that means nothing.
    #[must_use]
    pub fn plain(&self) -> JobSpec {
        let rare = self.rare.as_deref().map(|rare| {
            let mut labels = rare.labels.clone();
            if let Some(labels) = &mut labels {
                labels.tags.sort_unstable();
            }
            Rare {
                misfire: rare.misfire.filter(|misfire| *misfire != MisfireRule::default()),
                retry: rare.retry.as_ref().and_then(Retry::plain),
                pause_on: rare.pause_on.clone().filter(|statuses| !statuses.is_empty()),
                labels,
                alerts: rare.alerts.clone().filter(|policy| **policy != AlertPolicy::default()),
                ..rare.clone()
            }
        });
        let rare = rare.filter(|rare| *rare != Rare::default()).map(Box::new);
        JobSpec { post: self.post.plain(), rare, ..self.clone() }
    }

    /// Whether it says the same as another one, secrets included. What its schedule counts from is not said.
    pub fn says_what(&self, other: &JobSpec) -> bool {
        let JobSpec { schedule: _, post, active, seed_drawn: _, rare } = self;
        let same = |one: &JobSpec, other: &JobSpec| one.post == other.post && one.rare == other.rare;
        // Most do so in the same words.
        let same_words = (post, rare) == (&other.post, &other.rare);
        *active == other.active && self.has_schedule_of(other) && (same_words || same(&self.plain(), &other.plain()))
    }

    /// So many of its runs were had elsewhere. If none is left, it rests. Whether there is one.
    pub fn spend_runs(&mut self, runs: u64) -> bool {
        let Some(most) = self.rare.as_deref_mut().and_then(|rare| rare.max_runs.as_mut()) else { return true };
        let left = u32::try_from(u64::from(*most).saturating_sub(runs)).expect("it is less than what it is taken from");
        if left == 0 {
            self.active = false;
        } else {
            *most = left;
        }
        left > 0
    }

    /// Keeps what the spec before had and this one leaves to chance: the seed of the schedule.
    pub fn inherit(&mut self, old: &JobSpec) {
        if let Some(seed) = old.schedule.terms().seed.filter(|_| self.seed_drawn.0) {
            self.schedule = Arc::new(self.schedule.with_seed(seed));
        }
    }
}

impl Definition {
    /// What a job is, so that it is the same wherever it is read: its zone is named, too.
    pub fn in_full(spec: &JobSpec) -> Definition {
        let definition = Definition::from(spec);
        Definition { time_zone: definition.time_zone.or_else(|| Some("UTC".to_owned())), ..definition }
    }
}

impl From<&JobSpec> for Definition {
    fn from(spec: &JobSpec) -> Definition {
        let JobSpec { schedule, post, active, seed_drawn: _, rare } = spec;
        let Timing {
            schedule,
            run_at,
            run_after_ms,
            time_zone,
            dst,
            spread_seconds,
            spread_seed,
            starts_at,
            ends_at,
            exclude_dates,
            exclude_calendars,
        } = Timing::define(schedule);
        let Rare {
            misfire,
            retry,
            overlap,
            concurrency_key,
            max_runs,
            auto_pause_after,
            pause_on,
            labels,
            alerts,
            wanted,
        } = rare.as_deref().cloned().unwrap_or_default();
        assert!(wanted.is_none(), "secrets are known before a job is defined to anybody");
        let Wanted { auth, headers: secret_headers, signing: signing_secret } =
            post.secrets().map(Secrets::define).unwrap_or_default();
        let Post { url, delivery, rare: request } = post;
        let RequestDefinition { method, headers, body, json, timeout_ms, success } =
            request.as_deref().map(request::define).unwrap_or_default();
        let Labels { name, tags, owner } = labels.map(|labels| *labels).unwrap_or_default();
        Definition {
            schedule,
            run_at,
            run_after_ms,
            api: url.to_string(),
            delivery: delivery.name().to_owned(),
            active: Some(*active),
            misfire: misfire.map(MisfireRule::define),
            retry: retry.map(Retry::define),
            overlap: (overlap != Overlap::default()).then(|| overlap.name().to_owned()),
            concurrency_key: concurrency_key.map(ConcurrencyKey::define),
            max_runs: max_runs.map(u64::from),
            auto_pause_after: auto_pause_after.map(u64::from),
            pause_on: pause_on.map(|statuses| statuses.define()),
            alerts: alerts.map(|policy| policy.define()),
            method,
            headers,
            secret_headers,
            auth,
            signing_secret,
            body,
            json,
            timeout_ms,
            success,
            time_zone,
            dst,
            spread_seconds,
            spread_seed,
            starts_at,
            ends_at,
            exclude_dates,
            exclude_calendars,
            name: name.map(String::from),
            tags: (!tags.is_empty()).then(|| tags.into_iter().map(String::from).collect()),
            owner: owner.map(String::from),
        }
    }
}

/// The largest count that a job may give.
pub(super) const COUNT_MAX: u64 = 1_000_000_000;

/// A count that a job gives, from 1 on.
fn count(member: &'static str, given: Option<u64>) -> Result<Option<u32>, FieldError> {
    let given = given.map(|given| bounded(member, given, 1, COUNT_MAX)).transpose()?;
    Ok(given.map(|given| u32::try_from(given).expect("it is bounded")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<JobSpec, FieldError> {
        let definition: Definition = serde_json::from_str(text).expect("a definition");
        JobSpec::compile(&definition, &Context::at(Instant::from_secs(0)))
    }

    #[test]
    fn a_definition_comes_back_from_what_it_means() {
        for text in [
            r#"{"schedule":"@every 90s","api":"http://Example.com","type":"ATLEAST_ONCE","active":true}"#,
            r#"{"schedule":"* * * * * *","api":"http://a/","type":"ATLEAST_ONCE","active":false,"misfire":{"policy":"skip"}}"#,
            r#"{"schedule":"@daily","api":"http://a/","type":"ATMOST_ONCE","active":true,"misfire":{"policy":"all","maxLatenessMs":5000,"maxCatchUp":3},"retry":{"maxAttempts":5,"untilNext":true},"overlap":"queue_one","concurrencyKey":{"name":"billing","limit":2},"maxRuns":10,"autoPauseAfter":3,"pauseOn":[410],"alerts":{"after":3,"noSuccessFor":"1d2h","channels":["ops"]}}"#,
        ] {
            let spec = compile(text).expect(text);
            assert_eq!(serde_json::to_string(&Definition::from(&spec)).expect("JSON"), text);
        }
    }

    #[test]
    fn what_few_jobs_say_costs_the_others_nothing_but_a_word() {
        let plain = compile(r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE"}"#).expect("valid");
        assert!(plain.rare.is_none() && plain.active);
    }

    #[test]
    fn a_seed_that_was_drawn_is_kept_by_a_spec_that_says_none() {
        let spec = |members: &str, seed| {
            let text = format!(r#"{{"schedule":"@every 1h","api":"http://a/","type":"ATLEAST_ONCE"{members}}}"#);
            let definition: Definition = serde_json::from_str(&text).expect("a definition");
            let context = Context { seed: Some(seed), ..Context::at(Instant::from_secs(5)) };
            JobSpec::compile(&definition, &context).expect("valid")
        };
        let seed_after = |old: &JobSpec, mut new: JobSpec| {
            new.inherit(old);
            assert_eq!(new.schedule.anchor(), Some(Instant::from_secs(5)));
            new.schedule.terms().seed
        };
        let spread = r#","spreadSeconds":60"#;
        let old = spec(spread, 1);
        assert_eq!(seed_after(&old, spec(spread, 2)), Some(1));
        assert_eq!(seed_after(&old, spec(r#","spreadSeconds":60,"spreadSeed":3"#, 2)), Some(3));
        assert_eq!(seed_after(&old, spec("", 2)), None, "nothing is left to chance any more");
        assert_eq!(seed_after(&spec("", 1), spec(spread, 2)), Some(2), "there was none");
    }

    #[test]
    fn specs_that_differ_in_one_thing_do_not_say_the_same() {
        let spec = |schedule: &str, api: &str, members: &str| {
            compile(&format!(r#"{{"schedule":"{schedule}","api":"{api}","type":"ATLEAST_ONCE"{members}}}"#))
                .expect("valid")
        };
        let plain = spec("@daily", "http://a/", "");
        for other in [
            spec("@hourly", "http://a/", ""),
            spec("@daily", "http://b/", ""),
            spec("@daily", "http://a/", r#","active":false"#),
            spec("@daily", "http://a/", r#","maxRuns":3"#),
        ] {
            assert!(!plain.says_what(&other) && !other.says_what(&plain), "{other:?}");
            assert!(other.says_what(&other.clone()));
        }
        let in_other_words = spec("@daily", "http://a/", r#","pauseOn":[],"overlap":"allow","alerts":{}"#);
        assert!(plain.says_what(&in_other_words) && in_other_words.says_what(&plain), "{in_other_words:?}");
    }

    #[test]
    fn what_goes_without_saying_may_be_said() {
        let spec = |members: &str| {
            compile(&format!(r#"{{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE"{members}}}"#))
                .expect(members)
        };
        // What says the same as the one before it, and what does not.
        for (members, same, other) in [
            ("", r#","retry":{"multiplier":2}"#, r#","retry":{"multiplier":3}"#),
            ("", r#","retry":{"untilNext":false}"#, r#","retry":{"untilNext":true}"#),
            ("", r#","retry":{"maxDelayMs":3600000}"#, r#","retry":{"maxDelayMs":3599999}"#),
            (
                "",
                r#","retry":{"on":["timeout","connection","100-599"]}"#,
                r#","retry":{"on":["timeout","connection","100-598"]}"#,
            ),
            ("", r#","retry":{}"#, r#","retry":{"on":["timeout","100-599"]}"#),
            ("", r#","retry":{}"#, r#","retry":{"on":["connection","100-599"]}"#),
            ("", r#","retry":{"jitter":0.1}"#, r#","retry":{"jitter":0.2}"#),
            ("", r#","misfire":{}"#, r#","misfire":{"policy":"once"}"#),
            ("", r#","method":"POST""#, r#","method":"PUT""#),
            ("", r#","json":{}"#, r#","json":{"a":1}"#),
            ("", r#","success":["2xx"]"#, r#","success":["2xx",404]"#),
            ("", r#","tags":[]"#, r#","tags":["t"]"#),
            ("", r#","pauseOn":[]"#, r#","pauseOn":[410]"#),
            ("", r#","timeZone":"UTC""#, r#","owner":"o""#),
            (r#","headers":{"a":"1","b":"2"}"#, r#","headers":{"b":"2","a":"1"}"#, r#","headers":{"a":"2","b":"1"}"#),
            (r#","method":"PUT","json":{}"#, r#","json":{},"method":"PUT""#, ""),
        ] {
            let (plain, same, other) = (spec(members), spec(same), spec(other));
            assert!(plain.says_what(&same) && same.says_what(&plain), "{same:?}");
            assert!(!plain.says_what(&other) && !other.says_what(&plain), "{other:?}");
        }
    }

    #[test]
    fn without_zones_there_is_one() {
        let zoned = |zone| {
            compile(&format!(r#"{{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","timeZone":"{zone}"}}"#))
        };
        assert!(zoned("UTC").is_ok());
        let why = zoned("Europe/Berlin").expect_err("there are none").to_string();
        assert!(why.starts_with("timeZone: expected \"UTC\""), "{why}");
    }

    #[test]
    fn runs_that_were_had_elsewhere_are_not_had_again() {
        let limited = compile(r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","maxRuns":3}"#);
        let limited = limited.expect("valid");
        let after = |runs: u64| {
            let mut spec = limited.clone();
            (spec.spend_runs(runs), spec.active, spec.rare.and_then(|rare| rare.max_runs))
        };
        assert_eq!(after(0), (true, true, Some(3)));
        assert_eq!(after(2), (true, true, Some(1)));
        // It rests, and says how many it had.
        assert_eq!(after(3), (false, false, Some(3)));
        assert_eq!(after(7), (false, false, Some(3)));
        let mut unlimited = compile(r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE"}"#).expect("valid");
        assert!(unlimited.spend_runs(1_000) && unlimited.active);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        for (text, why) in [
            (r#"{"schedule":"@daily","api":"a","type":"ATLEAST_ONCE"}"#, "api: expected an absolute URL"),
            (r#"{"schedule":"@dayly","api":"http://a/","type":"ATLEAST_ONCE"}"#, "schedule: expected"),
            (
                r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","misfire":{"policy":"never"}}"#,
                "misfire.policy: expected \"once\", \"all\" or \"skip\", got \"never\"",
            ),
        ] {
            let error = compile(text).expect_err(text).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
