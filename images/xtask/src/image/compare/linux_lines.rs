//! Lines of the Linux kernel that were compiled: the kernel's own build files, with the
//! configuration that the distribution gave them, name the sources.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What was counted. Of each file all lines count, also those that this configuration leaves out,
/// and headers that only such lines name: upper bounds, as those of the unikernel are. What the
/// build itself writes is not there to be counted.
pub struct LinuxLines {
    /// Sources of the kernel and of the modules that the guest loads, C and assembly.
    pub sources: usize,
    /// Their lines.
    pub source_lines: usize,
    /// Headers that they include, directly or not.
    pub headers: usize,
    /// Their lines.
    pub header_lines: usize,
}

impl LinuxLines {
    /// Counts in the unpacked sources for a kernel of this configuration; `modules` are named by
    /// their paths, without an ending.
    pub fn count(sources: &Path, configuration: &Path, modules: &[&str]) -> Result<Self> {
        let objects = objects(sources, configuration, modules)?;
        let files: BTreeSet<PathBuf> = objects
            .iter()
            .filter_map(|object| source(sources, object))
            .collect();
        let headers = headers(sources, &files)?;
        Ok(Self {
            sources: files.len(),
            source_lines: lines(sources, &files)?,
            headers: headers.len(),
            header_lines: lines(sources, &headers)?,
        })
    }

    /// All of them.
    pub const fn total(&self) -> usize {
        self.source_lines + self.header_lines
    }
}

/// Objects of the kernel and of some modules, by their paths.
fn objects(sources: &Path, configuration: &Path, modules: &[&str]) -> Result<BTreeSet<PathBuf>> {
    let rules = tempfile::NamedTempFile::new()?;
    fs::write(rules.path(), RULES)?;
    let configuration = fs::canonicalize(configuration)?;
    let mut folders: VecDeque<PathBuf> = FOLDERS.iter().map(PathBuf::from).collect();
    let mut seen = BTreeSet::new();
    let mut objects = BTreeSet::new();
    let mut missing: BTreeSet<&str> = modules.iter().copied().collect();
    while let Some(folder) = folders.pop_front() {
        if !seen.insert(folder.clone()) {
            continue;
        }
        let output = Command::new("make")
            .args(["--no-builtin-rules", "--no-builtin-variables", "--file"])
            .arg(rules.path())
            .arg(format!("obj={}", folder.display()))
            .arg(format!("config={}", configuration.display()))
            .current_dir(sources)
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null())
            .output()
            .context("`make` does not start: apt-get install make")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}", folder.display(), said.trim());
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            match line.split_once(':') {
                _ if line.ends_with('/') => folders.push_back(normal(Path::new(line))),
                Some((module, object)) if modules.contains(&module) => {
                    missing.remove(module);
                    objects.insert(normal(Path::new(object)));
                }
                Some(_) => {}
                None => {
                    objects.insert(normal(Path::new(line)));
                }
            }
        }
    }
    if let Some(module) = missing.first() {
        bail!("the kernel's build files do not make the module {module}");
    }
    Ok(objects)
}

/// What an object was compiled from, unless the build wrote it.
fn source(sources: &Path, object: &Path) -> Option<PathBuf> {
    let endings = ["c", "S"].iter();
    let mut candidates = endings.map(|ending| object.with_extension(ending));
    candidates.find(|candidate| sources.join(candidate).is_file())
}

/// Every header that the files include, and those include.
fn headers(sources: &Path, files: &BTreeSet<PathBuf>) -> Result<BTreeSet<PathBuf>> {
    let mut headers = BTreeSet::new();
    let mut open: Vec<PathBuf> = files.iter().cloned().collect();
    while let Some(file) = open.pop() {
        let text = read(&sources.join(&file))?;
        for included in text.lines().filter_map(included) {
            let found = included.places(&file);
            let mut found = found.into_iter();
            let found = found.find(|place| sources.join(place).is_file());
            if let Some(found) = found.filter(|found| !headers.contains(found)) {
                headers.insert(found.clone());
                open.push(found);
            }
        }
    }
    Ok(headers)
}

/// A header as a file names it.
struct Included<'a> {
    name: &'a str,
    /// In quotes: first looked for beside the file that names it.
    beside: bool,
}

impl Included<'_> {
    /// Where it may be, in the order in which the compiler looks.
    fn places(&self, file: &Path) -> Vec<PathBuf> {
        let beside = file.parent().filter(|_| self.beside);
        let mut places: Vec<PathBuf> = beside
            .into_iter()
            .chain(INCLUDED_FROM.map(Path::new))
            .map(|folder| normal(&folder.join(self.name)))
            .collect();
        // The build writes a header for each that this processor leaves to all.
        if let Some(name) = self.name.strip_prefix("asm/") {
            places.extend(GENERIC.map(|folder| Path::new(folder).join(name)));
        }
        places
    }
}

fn included(line: &str) -> Option<Included<'_>> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start();
    let rest = rest.strip_prefix("include")?.trim_start();
    let (beside, end) = match rest.chars().next()? {
        '"' => (true, '"'),
        '<' => (false, '>'),
        _ => return None,
    };
    let (name, _) = rest.get(1..)?.split_once(end)?;
    Some(Included { name, beside })
}

fn lines(sources: &Path, files: &BTreeSet<PathBuf>) -> Result<usize> {
    let each = files.iter().map(|file| read(&sources.join(file)));
    each.map(|text| Ok(of_code(&text?))).sum()
}

/// Lines that are neither empty nor comments alone.
fn of_code(text: &str) -> usize {
    let mut in_comment = false;
    let mut count = 0;
    for line in text.lines() {
        let mut rest = line;
        let mut code = false;
        loop {
            if in_comment {
                match rest.split_once("*/") {
                    Some((_, after)) => (in_comment, rest) = (false, after),
                    None => break,
                }
            }
            let (before, after) = match rest.split_once("/*") {
                Some((before, after)) => (before, Some(after)),
                None => (rest, None),
            };
            let before = before.trim();
            code |= !before.is_empty() && !before.starts_with("//");
            match after {
                Some(after) => (in_comment, rest) = (true, after),
                None => break,
            }
        }
        count += usize::from(code);
    }
    count
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

const RULES: &str = include_str!("kbuild.mk");

/// Where the build begins: the folders of the kernel's first build file and of arch/x86/Makefile,
/// and those of the code that runs before the kernel.
const FOLDERS: [&str; 22] = [
    "init",
    "usr",
    "arch/x86",
    "kernel",
    "certs",
    "mm",
    "fs",
    "ipc",
    "security",
    "crypto",
    "block",
    "io_uring",
    "lib",
    "arch/x86/lib",
    "drivers",
    "net",
    "virt",
    "arch/x86/pci",
    "arch/x86/power",
    "arch/x86/boot",
    "arch/x86/boot/compressed",
    "arch/x86/realmode/rm",
];
const INCLUDED_FROM: [&str; 4] = [
    "arch/x86/include",
    "include",
    "arch/x86/include/uapi",
    "include/uapi",
];
const GENERIC: [&str; 2] = ["include/asm-generic", "include/uapi/asm-generic"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_and_comments_of_c_are_no_code() {
        for (text, code) in [
            ("int a; // why\n\n// why\n", 1),
            ("/* one */\n/* two\n * int a;\n */\n", 0),
            ("int a; /* begins\nends */ int b;\n", 2),
            ("/* a */ /* b */ // c\n", 0),
        ] {
            assert_eq!(of_code(text), code, "{text}");
        }
    }

    /// A tree as the kernel's: conditions, folders, an object made of others, modules.
    #[test]
    fn the_kernels_own_build_files_say_what_is_compiled() {
        let tree = tempfile::tempdir().expect("writable");
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
            fs::write(path, text).expect("writable");
        };
        for folder in FOLDERS {
            write(&format!("{folder}/Makefile"), "");
        }
        write(
            "kernel/Makefile",
            "obj-y := fork.o\nobj-$(CONFIG_TIME) += time/\nobj-$(CONFIG_OTHER) += other.o\n\
             ifeq ($(CONFIG_TIME),y)\nobj-y += both.o\nendif\nboth-objs := one.o ../lib/two.o\n",
        );
        write("kernel/time/Kbuild", "obj-m := clock.o\nobj-m += rest.o\n");
        write("config", "CONFIG_TIME=y\n# CONFIG_OTHER is not set\n");
        write(
            "kernel/fork.c",
            "#include <asm/a.h>\n\n# include \"b.h\"\n#include <none.h>\nint a;\n",
        );
        write("include/asm-generic/a.h", "/* a */\n#include <asm/a.h>\n");
        write("kernel/b.h", "int b;\n");
        write("lib/two.S", "nop\n");
        write("kernel/other.c", "int other;\n");
        for name in ["one", "time/clock", "time/rest"] {
            write(&format!("kernel/{name}.c"), "int x;\n");
        }
        let config = tree.path().join("config");
        let counted = LinuxLines::count(tree.path(), &config, &["kernel/time/clock"]);
        let counted = counted.expect("counted");
        assert_eq!((counted.sources, counted.source_lines), (4, 7));
        assert_eq!((counted.headers, counted.header_lines), (2, 2));
        assert_eq!(counted.total(), 9);
    }
}
