//! High-water marks in a file: a line a note, made durable before anything is sent.
//!
//! The file lies where a restore of the ledger does not reach. Its last line may be torn by a crash: what it was about has not
//! been sent. Any other line that cannot be read stops the operator, because without it charges could be made twice.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tollkeeper_core::{
    identity::ObjectKey,
    mark::{Mark, MarkError, Marks, Note},
};

const FILE: &str = "sent.jsonl";

const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// When the file is written anew. A product with 24 dimensions adds 3 KB an hour and needs 40 KB, so this is days of ten
/// products, and reading it takes milliseconds.
const REWRITTEN_AT: u64 = 4 << 20;

/// The marks that a file or this process's memory holds.
pub struct KeptMarks {
    inner: Mutex<Inner>,
}

struct Inner {
    marks: BTreeMap<ObjectKey, Arc<Mark>>,
    journal: Option<Journal>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    namespace: String,
    product: String,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Content {
    Mark(Mark),
    Note(Note),
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A line makes no sense.
    #[error(
        "line {line} of {path} cannot be read: {problem}; it tells what has been sent and guards against sending it again after a restore: put the file back, or remove it if the ledger is not a restored one"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The folder or the file cannot be read or written.
    #[error("the high-water marks cannot be kept in {path}: {error}")]
    Unusable {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl KeptMarks {
    /// Marks that last as long as this process.
    pub fn in_memory() -> Self {
        Self { inner: Mutex::new(Inner { marks: BTreeMap::new(), journal: None }) }
    }

    /// The marks of this folder, which is made if there is none.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Unusable { path: folder.to_owned(), error };
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder).map_err(unusable)?;
        let path = folder.join(FILE);
        let marks = match fs::read_to_string(&path) {
            Ok(text) => read(&path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(unusable(error)),
        };
        let journal = Journal::rewrite(&path, &marks).map_err(unusable)?;
        Ok(Self { inner: Mutex::new(Inner { marks, journal: Some(journal) }) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path, text: &str) -> Result<BTreeMap<ObjectKey, Arc<Mark>>, OpenError> {
    let mut marks: BTreeMap<ObjectKey, Mark> = BTreeMap::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let Some(whole) = line.strip_suffix('\n') else { break };
        let Line { namespace, product, content } = serde_json::from_str(whole).map_err(|error| {
            OpenError::Damaged { path: path.to_owned(), line: index + 1, problem: error.to_string() }
        })?;
        let mark = marks.entry(ObjectKey::new(namespace, product)).or_default();
        match content {
            Content::Mark(whole) => *mark = whole,
            Content::Note(note) => mark.raise(note),
        }
    }
    Ok(marks.into_iter().map(|(product, mark)| (product, Arc::new(mark))).collect())
}

impl Inner {
    fn raise(&mut self, product: &ObjectKey, note: Note) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.append(product, Content::Note(note.clone()))?;
        }
        Arc::make_mut(self.marks.entry(product.clone()).or_default()).raise(note);
        if let Some(journal) = &mut self.journal
            && journal.length > REWRITTEN_AT
        {
            *journal = Journal::rewrite(&journal.path.clone(), &self.marks)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Marks for KeptMarks {
    fn of(&self, product: &ObjectKey) -> Arc<Mark> {
        self.inner().marks.get(product).cloned().unwrap_or_default()
    }

    async fn raise(&self, product: &ObjectKey, note: Note) -> Result<(), MarkError> {
        // A line an hour and product: shorter than the call that it comes before.
        self.inner().raise(product, note).map_err(|error| MarkError(error.to_string()))
    }
}

/// The open file.
struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Journal {
    /// Writes the file anew, with a line a product: beside, made durable, renamed.
    fn rewrite(path: &Path, marks: &BTreeMap<ObjectKey, Arc<Mark>>) -> io::Result<Self> {
        let draft = path.with_extension("part");
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(&draft)?;
        let mut journal = Self { path: path.to_owned(), file, length: 0 };
        for (product, mark) in marks {
            journal.write(product, Content::Mark(mark.as_ref().clone()))?;
        }
        journal.file.sync_all()?;
        fs::rename(&draft, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(journal)
    }

    fn append(&mut self, product: &ObjectKey, content: Content) -> io::Result<()> {
        let before = self.length;
        let written = self.write(product, content).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Half a line in the middle of the file would be damage.
            self.file.set_len(before)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(before))?;
            self.length = before;
        }
        written
    }

    fn write(&mut self, product: &ObjectKey, content: Content) -> io::Result<()> {
        let line = Line { namespace: product.namespace.clone(), product: product.name.clone(), content };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.length += u64::try_from(text.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
