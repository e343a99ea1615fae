//! Directories in LDIF files.
//!
//! A file that was cut must never pass for a small directory. A cut inside a line or a record shows
//! by itself; a cut between two records shows only where the file says what it should hold:
//!
//! - `# intake: begin` above the first record demands `# intake: end` below the last;
//! - `# intake: entries N`, anywhere above the first record, demands N records;
//! - what `ldapsearch` writes without `-LL` and what `ldbsearch` writes demands the count at its end;
//! - `# entries: N` below the last record must agree.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::adapters::directory_object::{Entry, Obstacle, shown};
use crate::adapters::ldif_record::{Broken, Record, Records, Remark};
use crate::model::directory::{Contradiction, Directory, DirectoryBuilder, Origin};
use crate::model::dn::Dn;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind, Reading, Shortfall};
use crate::model::text::Text;
use crate::ports::source::{DirectoryPort, Progress};

/// After how many records progress is told.
const PAGE: usize = 1000;

/// A directory that was written to an LDIF file.
#[derive(Debug, Clone)]
pub struct LdifDirectory {
    name: Text,
    path: PathBuf,
    shown: String,
}

/// Why a file is no reading.
enum Failure {
    Refused(String),
    Short(String),
}

impl LdifDirectory {
    /// Makes a directory called `name` of the file at `path`, which messages call `shown`.
    ///
    /// The base is the domain that the first entry's `DC` components spell; all entries must lie in it.
    pub fn new(name: Text, path: PathBuf, shown: String) -> Self {
        Self { name, path, shown }
    }

    fn read_file(&self, told: &mpsc::UnboundedSender<usize>) -> Reading<Directory> {
        let file = match open(&self.path) {
            Ok(file) => file,
            Err(what) => return self.refused(&what),
        };
        let mut read = 0;
        let before = state_of(&self.path);
        match self.read_records(file, &before, told, &mut read) {
            Ok(_) if state_of(&self.path) != before => Reading::Incomplete(Shortfall {
                what: format!("{}: the file changed while it was read", self.shown),
                read,
            }),
            Ok(directory) => Reading::Complete(directory),
            Err(Failure::Refused(what)) => self.refused(&what),
            Err(Failure::Short(what)) => {
                Reading::Incomplete(Shortfall { what: format!("{}{what}", self.shown), read })
            }
        }
    }

    fn refused(&self, what: &str) -> Reading<Directory> {
        Reading::Unavailable(Fault::new(FaultKind::Refused, format!("{}{what}", self.shown)))
    }

    fn read_records(
        &self,
        file: File,
        state: &str,
        told: &mpsc::UnboundedSender<usize>,
        read: &mut usize,
    ) -> Result<Directory, Failure> {
        let mut records = Records::new(BufReader::with_capacity(64 * 1024, file));
        let mut builder: Option<(DirectoryBuilder, Dn)> = None;
        let mut closed = true;
        while let Some(record) = records.next_record()? {
            closed = record.closed;
            let entry = entry_of(&record).map_err(|obstacle| self.failed(&obstacle, &record))?;
            if !entry.has_class() {
                return Err(Failure::Refused(format!(
                    ":{}: {} has no objectClass: is the record whole?",
                    record.line,
                    shown(entry.dn().as_str())
                )));
            }
            let (builder, domain) = match &mut builder {
                Some(pair) => pair,
                None => {
                    let Some(domain) = domain_of(entry.dn()) else {
                        return Err(Failure::Refused(format!(
                            ":{}: {} lies in no domain (`DC=…`)",
                            record.line,
                            shown(entry.dn().as_str())
                        )));
                    };
                    let fresh = DirectoryBuilder::new(self.name.clone(), domain.clone(), domain.clone());
                    builder.insert((fresh, domain))
                }
            };
            if !entry.dn().is_under(domain) {
                return Err(Failure::Refused(format!(
                    ":{}: {} does not lie in {}, as the entries before it do: one file holds one domain",
                    record.line,
                    shown(entry.dn().as_str()),
                    shown(domain.as_str())
                )));
            }
            entry.add_to(builder, domain).map_err(|obstacle| self.failed(&obstacle, &record))?;
            *read += 1;
            if read.is_multiple_of(PAGE) {
                // Nobody listening is nobody's fault.
                let _ = told.send(*read);
            }
        }
        let Some((mut builder, _)) = builder else {
            return Err(Failure::Short(": the file holds no entry".to_owned()));
        };
        let marked = check_marks(&records.remarks, *read, records.content())?;
        if !closed && !marked {
            return Err(Failure::Short(format!(
                ":{}: the file ends without an empty line below its last record, as one does that was cut off",
                records.line()
            )));
        }
        let _ = told.send(*read);
        if !marked {
            // It may be cut between two records, or still be being written.
            builder.origin(Origin::File(Text::from(format!("{} {state}", shown(&self.shown)))));
        }
        Ok(builder.finish())
    }

    fn failed(&self, obstacle: &Obstacle, record: &Record) -> Failure {
        let line = record.line;
        let first = match obstacle {
            Obstacle::Contradiction(contradiction) => self.first_with(contradiction, line),
            Obstacle::Changed(_) | Obstacle::Unreadable(_) => None,
        };
        let also = first.map(|first| format!(" (the first is in line {first})")).unwrap_or_default();
        Failure::Refused(format!(":{line}: {}{also}", shown(&obstacle.to_string())))
    }

    /// Reads the file once more for the line of the record that another contradicts.
    fn first_with(&self, contradiction: &Contradiction, before: usize) -> Option<usize> {
        let mut records = Records::new(BufReader::new(open(&self.path).ok()?));
        while let Ok(Some(record)) = records.next_record() {
            if record.line >= before {
                return None;
            }
            let same = match contradiction {
                Contradiction::DuplicateGuid(guid) => record.attributes.iter().any(|attribute| {
                    attribute.description.to_ascii_lowercase().starts_with("objectguid")
                        && Guid::from_octet_slice(&attribute.value) == Some(*guid)
                }),
                Contradiction::DuplicateName(name) => {
                    let name = Dn::parse(name).ok();
                    let other = std::str::from_utf8(&record.name).ok().and_then(|text| Dn::parse(text).ok());
                    name.is_some() && name == other
                }
            };
            if same {
                return Some(record.line);
            }
        }
        None
    }
}

#[async_trait]
impl DirectoryPort for LdifDirectory {
    async fn read(&self, progress: &dyn Progress) -> Reading<Directory> {
        let (told, mut heard) = mpsc::unbounded_channel();
        let this = self.clone();
        let reading = tokio::task::spawn_blocking(move || this.read_file(&told));
        while let Some(objects) = heard.recv().await {
            progress.read(objects);
        }
        reading.await.unwrap_or_else(|_| {
            let what = format!("{}: reading was broken off", self.shown);
            Reading::Unavailable(Fault::new(FaultKind::Transient, what))
        })
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Format { line, column: Some(column), what } => {
                Self::Refused(format!(":{line}:{column}: {what}"))
            }
            Broken::Format { line, column: None, what } => Self::Refused(format!(":{line}: {what}")),
            Broken::Cut { line, what } => Self::Short(format!(":{line}: {what}")),
            Broken::Unreadable(error) => Self::Refused(format!(": the file cannot be read: {error}")),
        }
    }
}

/// Opens a file, and nothing that only looks like one: reading a pipe or a device may never end.
fn open(path: &Path) -> Result<File, String> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ": there is no such file".to_owned(),
        _ => format!(": the file cannot be opened: {error}"),
    })?;
    if !metadata.is_file() {
        return Err(": this is no file".to_owned());
    }
    File::open(path).map_err(|error| format!(": the file cannot be opened: {error}"))
}

fn entry_of(record: &Record) -> Result<Entry<'_>, Obstacle> {
    let mut entry = Entry::new(&record.name)?;
    for attribute in &record.attributes {
        entry.attribute(&attribute.description, [attribute.value.as_slice()])?;
    }
    Ok(entry)
}

/// Returns the domain that a name's `DC` components spell, where they stand at its end.
fn domain_of(dn: &Dn) -> Option<Dn> {
    let mut name = dn.clone();
    loop {
        if name.key().split(',').all(|rdn| rdn.starts_with("dc=")) {
            return Some(name);
        }
        name = name.split_parent()?.1;
    }
}

/// Tells one state of a file from another: its size and when it was last written.
fn state_of(path: &Path) -> String {
    let Ok(about) = std::fs::metadata(path) else { return "gone".to_owned() };
    let written = about.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    let written = written.map_or_else(|| "an unknown time".to_owned(), |time| time.to_string());
    format!("({} bytes, written at {written})", about.len())
}

/// Compares what a file says of itself with what it holds. Returns whether it says below its last
/// record, which ends in line `content`, that it is whole.
fn check_marks(remarks: &[Remark], records: usize, content: usize) -> Result<bool, Failure> {
    let mut begun = None;
    let mut ended = false;
    let mut counted = false;
    let mut expects_count = None;
    for remark in remarks {
        let short = |what: String| Failure::Short(format!(":{}: {what}", remark.line));
        let at_end = remark.after == records && remark.line > content;
        let text = remark.text.as_str();
        if let Some(mark) = text.strip_prefix("intake:") {
            match mark.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["begin"] if remark.after == 0 => begun = Some(remark.line),
                ["end"] if at_end => ended = true,
                ["end"] => return Err(short("records follow `# intake: end`".to_owned())),
                ["entries", number] if number.parse() == Ok(records) => counted |= at_end,
                ["entries", number] if number.parse::<usize>().is_ok() => {
                    return Err(short(format!(
                        "the file says that it holds {number} entries, and holds {records}; if it was changed by \
                         hand and is whole, correct the number"
                    )));
                }
                _ => {
                    let what = format!("`# {}` is no mark: begin, end or entries N", shown(text));
                    return Err(Failure::Refused(format!(":{}: {what}", remark.line)));
                }
            }
        } else if let Some(result) = text.strip_prefix("result:") {
            if result.split_whitespace().next() != Some("0") {
                return Err(short(format!(
                    "the search that wrote the file failed: {}",
                    shown(result.trim())
                )));
            }
        } else if remark.after == 0 && matches!(text, "LDAPv3" | "record 1") {
            expects_count = Some(remark.line);
        } else if let Some(number) = counted_entries(text)
            && remark.after > 0
        {
            if !at_end || number != records {
                return Err(short(format!(
                    "the file says that it holds {number} entries, and holds {records}"
                )));
            }
            counted = true;
        }
    }
    if let Some(line) = begun
        && !ended
    {
        let what = format!(
            ":{line}: `# intake: begin` stands here, and no `# intake: end` at the end: the file was cut off"
        );
        return Err(Failure::Short(what));
    }
    if let Some(line) = expects_count
        && !counted
    {
        let what = format!(
            ":{line}: a search wrote this file, and its count of entries at the end is missing: the file was cut off"
        );
        return Err(Failure::Short(what));
    }
    Ok(ended || counted)
}

/// Reads the count that `ldapsearch` (`numEntries: 4`), `ldbsearch` (`4 entries`) or a person
/// (`entries: 4`) wrote.
fn counted_entries(text: &str) -> Option<usize> {
    let number = text
        .strip_prefix("numEntries:")
        .or_else(|| text.strip_prefix("entries:"))
        .or_else(|| text.strip_suffix(" entries"))?;
    number.trim().parse().ok()
}
