//! Owns changes of many jobs in one request: a line each, read bit by bit, and what became of each.
//! It must not change anything: it says what is to be changed, and is told what became of it.

use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::apply::{self, ApplyItem};
use super::body;
use super::call::Call;
use super::difference::Told;
use super::errors::{ApiError, Problem};
use super::import;
use super::jobs;
use super::json::append;
use super::matching::Matched;
use super::parameters::DRY_RUN;
use super::pauses;
use crate::core::{Accepted, Action, Applied, Apply, Meant, Reply};
use crate::http::{Response, Status};
use crate::job::{Context, Definition, JobId, JobSpec, Pause, Second, object, whole};
use crate::limits::{BATCH_ITEMS_MAX, BATCH_LINE_LEN_MAX, BATCH_PROBLEMS_LEN_MAX, BATCH_TOLD_LEN_MAX, NOTE_LEN_MAX};
use crate::schedule::Dates;

/// What the lines of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Changes of jobs.
    Changes,
    /// What an export gave.
    Export,
}

/// Many changes, each of a job.
pub(super) fn change(matched: &Matched<'_>) -> Result<Call, ApiError> {
    ask(matched, Lines::Changes)
}

/// What an export gave, to be there as well.
pub(super) fn import(matched: &Matched<'_>) -> Result<Call, ApiError> {
    ask(matched, Lines::Export)
}

fn ask(matched: &Matched<'_>, lines: Lines) -> Result<Call, ApiError> {
    let dry_run = matched.parameters()?.flag(&DRY_RUN)?;
    body::check_lines(matched.request)?;
    Ok(Call::Batch { lines, dry_run })
}

/// A change of a job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum Item {
    /// A job to register, as `POST /api/jobs` takes it.
    Create(#[serde(deserialize_with = "object")] Box<Definition>),
    /// What there is to be: it is made, or changed where it differs, or left alone.
    Apply(#[serde(deserialize_with = "object")] ApplyItem),
    /// What a job is to be, as `PUT /api/jobs/:id` takes it.
    Update(#[serde(deserialize_with = "object")] UpdateItem),
    /// A job that is to rest.
    Pause(#[serde(deserialize_with = "object")] PauseItem),
    /// A job that is to go on.
    Resume(#[serde(deserialize_with = "object")] ResumeItem),
    /// A job that is to go.
    Delete(#[serde(deserialize_with = "object")] DeleteItem),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateItem {
    /// Which job.
    #[schemars(with = "JobId")]
    job_id: String,
    /// Only if its ETag is this number.
    #[serde(default, deserialize_with = "whole")]
    revision: Option<u64>,
    /// What it is to be.
    #[serde(deserialize_with = "object")]
    job: Box<Definition>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PauseItem {
    /// Which job.
    #[schemars(with = "JobId")]
    job_id: String,
    /// Only if its ETag is this number.
    #[serde(default, deserialize_with = "whole")]
    revision: Option<u64>,
    /// The last second of the pause. Left out: it lasts until somebody resumes the job.
    #[serde(default)]
    #[schemars(with = "Option<Second>")]
    until: Option<String>,
    /// Why.
    #[serde(default)]
    #[schemars(length(max = NOTE_LEN_MAX))]
    note: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ResumeItem {
    /// Which job.
    #[schemars(with = "JobId")]
    job_id: String,
    /// Only if its ETag is this number.
    #[serde(default, deserialize_with = "whole")]
    revision: Option<u64>,
    /// Whether what it was due for meanwhile counts as missed.
    #[serde(default)]
    missed: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DeleteItem {
    /// Which job.
    #[schemars(with = "JobId")]
    job_id: String,
    /// Only if its ETag is this number.
    #[serde(default, deserialize_with = "whole")]
    revision: Option<u64>,
}

const EXPECTED: &str = "a JSON object such as {\"create\":{...}} in each line";

impl Item {
    fn action(self, context: &Context<'_>) -> Result<Wanted, ApiError> {
        // No job has a larger number than there may be.
        let only = |revision: Option<u64>| revision.map(|number| u32::try_from(number).into_iter().collect());
        Ok(Wanted::Change(match self {
            Item::Create(definition) => {
                let (spec, _) = jobs::compile(&definition, context).map_err(|error| error.within("create"))?;
                return Ok(Wanted::Job(Box::new(spec), None));
            }
            Item::Apply(item) => return item.wanted(context),
            Item::Update(UpdateItem { job_id, revision, job }) => {
                let (spec, says_active) =
                    jobs::compile(&job, context).map_err(|error| error.within("job").within("update"))?;
                Action::Update { id: id(&job_id)?, spec, keep_active: !says_active, expected: only(revision) }
            }
            Item::Pause(PauseItem { job_id, revision, until, note }) => {
                pauses::begin(id(&job_id)?, until.as_deref(), note, only(revision), context)
                    .map_err(|error| error.within("pause"))?
            }
            Item::Resume(ResumeItem { job_id, revision, missed }) => {
                Action::Resume { id: id(&job_id)?, missed, expected: only(revision) }
            }
            Item::Delete(DeleteItem { job_id, revision }) => {
                Action::Delete { id: id(&job_id)?, expected: only(revision) }
            }
        }))
    }
}

/// A malformed id names no job.
fn id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such_job())
}

/// What a line asks for.
#[derive(Debug)]
pub enum Wanted {
    /// A new job, whose id takes randomness, with the pause that it begins with.
    Job(Box<JobSpec>, Option<Box<Pause>>),
    /// A job that there is to be. What is beside it is known once all lines are read.
    Declared(Box<Apply>),
    /// A change of a job.
    Change(Action),
    /// A change of a calendar: by itself, and before what comes after it is read.
    Calendar(Arc<str>, Arc<Dates>),
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A job was made.
    Created,
    /// It is another one.
    Updated,
    /// It rests.
    Paused,
    /// It goes on.
    Resumed,
    /// It is gone.
    Deleted,
}

impl Deed {
    /// What is done by an action, if it is accepted.
    pub fn of(action: &Action) -> Deed {
        match action {
            Action::Create { .. } => Deed::Created,
            Action::Delete { .. } => Deed::Deleted,
            Action::Pause { .. } => Deed::Paused,
            Action::Resume { .. } => Deed::Resumed,
            Action::Update { .. } | Action::Apply(_) | Action::Release { .. } => Deed::Updated,
            Action::Run(_) | Action::ReplayAll(_) => Deed::Updated,
            Action::PutCalendar { .. } | Action::DeleteCalendar { .. } => Deed::Updated,
            Action::Set(_) | Action::Silence(_) | Action::Acknowledge { .. } => Deed::Updated,
        }
    }

    /// What was done in the end: with a job that is declared the core knows it.
    #[must_use]
    pub fn known(self, accepted: &Accepted) -> Deed {
        match accepted.applied {
            None | Some(Applied::Changed(..)) => self,
            Some(Applied::Created) => Deed::Created,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Deed::Created => "created",
            Deed::Updated => "updated",
            Deed::Paused => "paused",
            Deed::Resumed => "resumed",
            Deed::Deleted => "deleted",
        }
    }

    fn status(self) -> Status {
        match self {
            Deed::Created => Status::CREATED,
            Deed::Deleted => Status::NO_CONTENT,
            Deed::Updated | Deed::Paused | Deed::Resumed => Status::OK,
        }
    }

    fn turn(self) -> Turn {
        match self {
            Deed::Created => Turn::Created,
            Deed::Deleted => Turn::Deleted,
            Deed::Updated | Deed::Paused | Deed::Resumed => Turn::Changed,
        }
    }
}

/// What became of what a line is about.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum Turn {
    Created,
    Unchanged,
    Changed,
    Deleted,
}

impl Wanted {
    /// Where in its line the members of a job stand, from the inside out.
    fn place(&self, lines: Lines) -> &'static [&'static str] {
        match (self, lines) {
            (Wanted::Job(..), Lines::Changes) => &["create"],
            (Wanted::Job(..), Lines::Export) => &["job"],
            (Wanted::Declared(_), _) => &["job", "apply"],
            (Wanted::Change(Action::Update { .. }), _) => &["job", "update"],
            (Wanted::Change(_) | Wanted::Calendar(..), _) => &[],
        }
    }
}

/// A request with many lines, and how far it is.
#[derive(Debug)]
pub struct Batch {
    lines: Lines,
    pub(super) text: Vec<u8>,
    /// How much of it is split.
    split: usize,
    /// The line that is being split: its number, where it begins, and whether there is anything in it.
    line: (u32, usize, bool),
    /// The lines that are not empty: their numbers, and where they are.
    pub(super) places: Vec<(u32, Range<usize>)>,
    /// Those of them that are about calendars.
    pub(super) calendars: Vec<u32>,
    /// Whether it is only to be said what would become of it.
    dry_run: bool,
    /// Which jobs are declared, as far as it is read.
    pub(super) meant: Arc<Meant>,
    pub(super) results: Vec<Outcome>,
    problems_len: usize,
    told_len: usize,
    printed: Vec<u8>,
    printed_count: usize,
}

/// What became of a line.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LineResult")]
struct OutcomeBody<'a> {
    /// Which line, from 1 on.
    line: u32,
    /// What a request of its own would have been answered.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<String>,
    /// What became of what it is about, or would become.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Turn")]
    outcome: Option<Turn>,
    /// In which members what was declared differed. Where so much differs that the answer would be too long, parts of
    /// members are not told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    changes: Option<&'a [String]>,
    /// With dryRun, these with their old and their new value. A long one is told by its length, a secret as
    /// `{"set":true}`, or `{"other":true}` if it is another one. Left out where it would be too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    difference: Option<&'a RawValue>,
    /// What is wrong with it. Left out of what is wrong last, if there is so much that the answer would be too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Problem")]
    problem: Option<&'a RawValue>,
}

#[derive(Debug)]
pub(super) struct Outcome {
    line: u32,
    /// Where in the line the job stands that the core looks at, from the inside out.
    within: &'static [&'static str],
    status: Status,
    job: Option<JobId>,
    turn: Option<Turn>,
    told: Option<Box<Told>>,
    problem: Option<Box<RawValue>>,
    /// What another node says of it, and whether that is that it was refused.
    pub(super) elsewhere: Option<(bool, Box<RawValue>)>,
}

impl Outcome {
    fn is_refused(&self) -> bool {
        self.elsewhere.as_ref().map_or(self.status.code() >= 400, |(is_refused, _)| *is_refused)
    }
}

/// What became of the lines of a request, which is made in pieces.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LineResults")]
pub(super) struct ResultsBody<'a> {
    /// Of each line that is not empty, in their order.
    results: Vec<OutcomeBody<'a>>,
    /// How many were done.
    done: usize,
    /// How many were refused, each for its reason.
    refused: usize,
}

/// What some editors write at the beginning of a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Batch {
    /// A request with this text.
    pub fn new(lines: Lines, dry_run: bool, text: Vec<u8>) -> Batch {
        let from = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Batch {
            lines,
            text,
            split: from,
            line: (1, from, false),
            places: Vec::new(),
            calendars: Vec::new(),
            dry_run,
            meant: Arc::default(),
            results: Vec::new(),
            problems_len: 0,
            told_len: 0,
            printed: Vec::new(),
            printed_count: 0,
        }
    }

    /// Its text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Splits the text into lines, up to this byte.
    ///
    /// # Errors
    /// When there are more lines than there may be.
    pub fn split(&mut self, to: usize) -> Result<(), ApiError> {
        let to = to.min(self.text.len());
        while self.split < to {
            let rest = &self.text[self.split..to];
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            self.line.2 |= !rest[..length].trim_ascii_start().is_empty();
            self.split += length;
            if self.split < to {
                self.end_line()?;
                self.split += 1;
                self.line = (self.line.0 + 1, self.split, false);
            }
        }
        Ok(())
    }

    /// The text is split as a whole.
    ///
    /// # Errors
    /// When there is nothing in it, or one line too many.
    pub fn end_split(&mut self) -> Result<(), ApiError> {
        self.end_line()?;
        if self.places.is_empty() {
            return Err(body::no_lines());
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), ApiError> {
        let (number, from, has_text) = self.line;
        if !has_text {
            return Ok(());
        }
        if self.places.len() >= BATCH_ITEMS_MAX {
            let message = format!("expected at most {BATCH_ITEMS_MAX} lines; nothing has changed");
            return Err(ApiError::new(Status::CONTENT_TOO_LARGE, message));
        }
        self.places.push((number, from..self.split));
        Ok(())
    }

    /// Reads on: a line, and what it asks for. None: there are no more. What is wrong with a line is its result.
    pub fn read(&mut self, context: &Context<'_>) -> Option<(u32, Option<Wanted>)> {
        let place = self.results.len();
        let (line, range) = self.places.get(place).cloned()?;
        let meant = Arc::get_mut(&mut self.meant).expect("nobody asks for it before all is read");
        let wanted = read_line(self.lines, &self.text[range], meant, context);
        let within = wanted.as_ref().map_or(&[][..], |wanted| wanted.place(self.lines));
        // Nothing has become of it yet.
        self.results.push(Outcome {
            line,
            within,
            status: Status::OK,
            job: None,
            turn: None,
            told: None,
            problem: None,
            elsewhere: None,
        });
        let place = u32::try_from(place).expect("there are few");
        match wanted {
            Ok(Wanted::Calendar(name, dates)) => {
                let known = context.calendars.and_then(|calendars| calendars.get(&name)).map(|known| known.dates);
                Some((
                    place,
                    self.note_calendar(place, known.as_deref(), &dates).then(|| Wanted::Calendar(name, dates)),
                ))
            }
            Ok(wanted) => Some((place, Some(wanted))),
            Err(error) => {
                self.refuse(place, &error);
                Some((place, None))
            }
        }
    }

    /// Its lines are needed no more.
    pub fn forget_text(&mut self) {
        (self.text, self.places) = (Vec::new(), Vec::new());
    }

    /// Which jobs are declared in it, once it is read.
    pub fn meant(&self) -> Arc<Meant> {
        Arc::clone(&self.meant)
    }

    /// What is to become of a calendar. Whether it is to be put.
    fn note_calendar(&mut self, place: u32, old: Option<&Dates>, new: &Dates) -> bool {
        self.calendars.push(place);
        let turn = match old {
            None => Turn::Created,
            Some(old) if old == new => Turn::Unchanged,
            Some(old) => {
                let dates = |dates: &Dates| dates.iter().map(|date| date.to_string()).collect::<Vec<_>>();
                self.tell(place, Told::only("dates", &dates(old), &dates(new), self.dry_run));
                Turn::Changed
            }
        };
        self.results[place as usize].turn = Some(turn);
        !matches!(turn, Turn::Unchanged)
    }

    /// A line is done.
    pub fn accept(&mut self, place: u32, deed: Deed, accepted: &Accepted) {
        let outcome = &mut self.results[place as usize];
        (outcome.status, outcome.job, outcome.turn) = (deed.status(), accepted.job, Some(deed.turn()));
        if let Some(Applied::Changed(old, new)) = &accepted.applied {
            self.tell(place, Told::between(&old.spec, new, self.dry_run));
        }
    }

    /// Nothing was to be done for a line.
    fn pass(&mut self, place: u32, job: JobId) {
        let outcome = &mut self.results[place as usize];
        (outcome.job, outcome.turn) = (Some(job), Some(Turn::Unchanged));
    }

    fn tell(&mut self, place: u32, mut told: Told) {
        self.told_len += told.len();
        if self.told_len > BATCH_TOLD_LEN_MAX {
            told.shorten();
        }
        self.results[place as usize].told = Some(Box::new(told));
    }

    /// What the core answered at once: a line was refused, or nothing was to be done.
    pub fn note(&mut self, place: u32, reply: &Reply) {
        let error = match reply {
            Reply::Updated(view) => return self.pass(place, view.revision.id),
            Reply::Unchanged(job) => return self.pass(place, *job),
            Reply::CalendarPut { .. } => return,
            Reply::Created(_) | Reply::Deleted | Reply::CalendarDeleted => None,
            Reply::Started(_) | Reply::StartedAll(..) | Reply::Ended(..) => None,
            // No line asks for these.
            Reply::Set(_) | Reply::NoSuchSetting | Reply::Acknowledged(_) | Reply::NoSuchIncident => None,
            Reply::NotFound => Some(ApiError::no_such_job()),
            Reply::Nameless => Some(ApiError::nameless()),
            Reply::NoSuchCalendar => Some(ApiError::no_such_calendar()),
            Reply::TooMany(why) => Some(ApiError::bad_request(why.clone())),
            Reply::NameTaken(name) => Some(ApiError::name_taken(name)),
            Reply::OwnedElsewhere => Some(ApiError::owned_elsewhere()),
            Reply::Changed(number) => Some(ApiError::changed(*number)),
            Reply::Conflict(why) => Some(ApiError::new(Status::CONFLICT, *why)),
            Reply::Invalid(error) => {
                let within = self.results[place as usize].within;
                Some(within.iter().fold(ApiError::from(error.clone()), |error, member| error.within(member)))
            }
            Reply::Refused(refusal) => Some(ApiError::from(*refusal)),
        };
        if let Some(error) = error {
            self.refuse(place, &error);
        }
    }

    /// A line comes to nothing.
    pub fn refuse(&mut self, place: u32, error: &ApiError) {
        let problem = to_raw_value(&error.problem()).expect("a problem has string keys only");
        self.problems_len += problem.get().len();
        let outcome = &mut self.results[place as usize];
        (outcome.status, outcome.job, outcome.turn, outcome.told) = (error.status, None, None, None);
        outcome.problem = (self.problems_len <= BATCH_PROBLEMS_LEN_MAX).then_some(problem);
    }

    /// Makes a piece of `{"results":[...],"done":...,"refused":...}`, of so many results. Whether that was the last.
    pub fn print(&mut self, count: usize) -> bool {
        if self.printed.is_empty() {
            self.printed.extend_from_slice(b"{\"results\":[");
        }
        for outcome in self.results.iter().skip(self.printed_count).take(count) {
            if self.printed_count > 0 {
                self.printed.push(b',');
            }
            self.printed_count += 1;
            let Outcome { line, within: _, status, job, turn, told, problem, elsewhere } = outcome;
            if let Some((_, result)) = elsewhere {
                self.printed.extend_from_slice(result.get().as_bytes());
                continue;
            }
            let body = OutcomeBody {
                line: *line,
                status: status.code(),
                job_id: job.map(|job| job.to_string()),
                outcome: *turn,
                changes: told.as_deref().map(|told| told.changes.as_slice()),
                difference: told.as_deref().and_then(|told| told.difference.as_deref()),
                problem: problem.as_deref(),
            };
            append(&mut self.printed, &body);
        }
        if self.printed_count < self.results.len() {
            return false;
        }
        let refused = self.results.iter().filter(|outcome| outcome.is_refused()).count();
        self.printed.extend_from_slice(b"],\"done\":");
        append(&mut self.printed, &(self.results.len() - refused));
        self.printed.extend_from_slice(b",\"refused\":");
        append(&mut self.printed, &refused);
        self.printed.push(b'}');
        true
    }

    /// The answer, once it is printed.
    pub fn take_response(&mut self) -> Response {
        self.printed_count = 0;
        Response::new(Status::OK, std::mem::take(&mut self.printed))
    }
}

fn read_line(lines: Lines, line: &[u8], meant: &mut Meant, context: &Context<'_>) -> Result<Wanted, ApiError> {
    if line.len() > BATCH_LINE_LEN_MAX {
        let message = format!("expected at most {BATCH_LINE_LEN_MAX} bytes in a line");
        return Err(ApiError::new(Status::CONTENT_TOO_LARGE, message));
    }
    let line = line.trim_ascii();
    match lines {
        Lines::Changes => {
            let item = body::parse_object::<Item>(line, EXPECTED).inspect_err(|_| apply::note_wrong(line, meant))?;
            if let Item::Apply(item) = &item {
                item.note(meant);
            }
            item.action(context)
        }
        Lines::Export => import::wanted(body::parse_object(line, import::EXPECTED)?, context),
    }
}
