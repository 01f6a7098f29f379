//! The directory from the outside: commands on the running server and on the database itself.

use remuda_testing::postgres::Postgres;
use serde_json::json;

use super::*;

/// A server and the commands that reach it.
struct Running {
    place: Place,
    server: Server,
}

impl Running {
    fn new(more: &str) -> Running {
        let place = Place::new(ANY, ANY, more);
        let server = place.serve();
        place.configure(&server.smtp.to_string(), &server.admin.to_string(), more);
        Running { place, server }
    }

    fn run(&self, line: &str) -> Output {
        self.place.line(line, "")
    }

    /// What a command prints that must succeed.
    fn says(&self, line: &str) -> String {
        said(&self.run(line), line)
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.says(line)).unwrap()
    }
}

impl Place {
    /// A command line, the first word apart, with this on its standard input.
    fn line(&self, line: &str, input: &str) -> Output {
        let mut words = line.split(' ');
        let mut child = Command::new(PROGRAM)
            .arg(words.next().unwrap())
            .args(["--config", &self.file()])
            .args(words)
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that wants no input may be gone.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }
}

fn said(output: &Output, line: &str) -> String {
    assert_eq!(code(output), 0, "{line}: {}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(code(output), 1);
    errors(output)
}

#[test]
fn objects_are_made_changed_shown_and_removed() {
    let running = Running::new("");
    assert_eq!(running.says("domain add Ex.test"), "domain ex.test: created\n");
    let add = "account add Bob@ex.test --password-file - --quota 1GiB";
    let added = running.place.line(add, "secret\n");
    assert_eq!(said(&added, add), "account bob@ex.test: created\n");
    assert_eq!(
        running.json("account show bob@ex.test --json")["quota"],
        1_u64 << 30
    );
    assert_eq!(
        running.says("domain-alias add ex.org ex.test"),
        "domain-alias ex.org: created\n"
    );
    assert_eq!(
        running.says("alias add sales@ex.test bob@ex.test eve@else.test"),
        "alias sales@ex.test: created\n"
    );
    assert_eq!(
        running.says("list add all@ex.test bob@ex.test --mode domain"),
        "list all@ex.test: created\n"
    );
    assert_eq!(
        running.says("list add-member all@ex.test eve@else.test"),
        "list all@ex.test: changed\n"
    );
    assert_eq!(
        running.json("list show all@ex.test --json")["members"],
        json!(["bob@ex.test", "eve@else.test"])
    );
    assert_eq!(
        running.says("list remove-member all@ex.test bob@ex.test"),
        "list all@ex.test: changed\n"
    );
    assert_eq!(
        running.says("route add .else.test 192.0.2.1:25 --tls verify"),
        "route .else.test: created\n"
    );
    assert_eq!(
        running.says("account set bob@ex.test --quota none"),
        "account bob@ex.test: changed\n"
    );
    assert_eq!(
        running.says("account rename bob@ex.test robert@ex.test"),
        "account robert@ex.test: renamed\n"
    );
    let table = running.says("account list");
    assert!(
        table.lines().nth(1).unwrap().starts_with("robert@ex.test  yes"),
        "{table}"
    );
    assert!(running.says("route list").contains("192.0.2.1:25"));
    let version = running.json("domain show ex.test --json")["version"]
        .as_i64()
        .unwrap();
    let late = format!("domain set ex.test --account-limit 5 --version {}", version - 1);
    assert!(refused(&running.run(&late)).contains(&format!("its version is {version}")));
    assert!(refused(&running.run("domain remove ex.test")).contains("delete it with all of them"));
    assert_eq!(
        running.says("domain remove ex.test --all"),
        "domain ex.test: removed\n"
    );
    assert_eq!(running.says("account list"), "none\n");
    assert_eq!(
        refused(&running.run("account show bob@ex.test")),
        "remuda: no such account\n"
    );
}

/// F14: a line for each change, which names fields and no secret.
#[test]
fn every_change_is_a_line_of_the_audit_log() {
    let running = Running::new("");
    running.says("domain add ex.test");
    running
        .place
        .line("account add bob@ex.test --password-file -", "hunter2");
    running.says("account set bob@ex.test --quota 5MiB");
    running.says("cache clear account");
    running.says("cache set account.ttl=30s");
    running.says("cache disable");
    let process = &running.server.process;
    process.wait_for_line("audit change=created type=domain name=ex.test");
    let created = process.wait_for_line("audit change=created type=account name=bob@ex.test");
    assert!(created.contains("password"), "{created}");
    let changed = process.wait_for_line("audit change=changed type=account name=bob@ex.test");
    assert!(changed.contains("fields=quota version="), "{changed}");
    process.wait_for_line("audit change=\"cache cleared\" what=account");
    process.wait_for_line("audit change=\"cache set\" what=account.ttl");
    process.wait_for_line("audit change=\"cache set\" what=enabled");
    assert!(
        !process
            .lines()
            .iter()
            .any(|line| line.contains("hunter2") || line.contains("argon2"))
    );
}

/// The most that can be asked of the log, and of everything that runs in the server.
#[test]
fn no_secret_is_in_the_log_at_any_level() {
    let place = Place::new(ANY, ANY, "");
    let mut command = Command::new(PROGRAM);
    command.env("RUST_LOG", "trace");
    let server = place.serve_in(command);
    place.configure(&server.smtp.to_string(), &server.admin.to_string(), "");
    let line = |line: &str, input: &str| said(&place.line(line, input), line);
    line("domain add ex.test", "");
    line("account add bob@ex.test --password-file -", "stallion-1\n");
    line("account set bob@ex.test --password-file -", "stallion-2\n");
    place.write(
        "a.csv",
        "type,address,domain,hosts,username,password\naccount,eve@ex.test,,,,stallion-3\n\
             route,,ex.net,192.0.2.1,me,stallion-4\n",
    );
    assert_eq!(line("import a.csv", ""), "2 created, 0 replaced\n");
    line("export b.json --with-passwords", "");
    refused(&place.line(
        "account set bob@ex.test --forward nonsense --password-file -",
        "stallion-5\n",
    ));
    refused(&place.line("account add bob@ex.test --password-file -", "stallion-6\n"));
    let exported = place.read("b.json");
    let (_, hash) = exported.split_once("$argon2id$").unwrap();
    let hash = &hash[..hash.find('"').unwrap()];
    let token = place.read("data/admin.token");
    let log = server.process.lines().join("\n");
    assert!(log.contains("DEBUG") && log.contains("audit"), "{log}");
    for secret in ["stallion", hash, token.trim()] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn an_address_is_resolved_step_by_step() {
    let running = Running::new("");
    running.says("domain add ex.test");
    running.says("account add bob@ex.test");
    let cold = running.says("resolve bob+x@EX.test --from eve@else.test");
    assert!(
        cold.contains("database") && cold.ends_with("deliver to bob@ex.test (here)\n"),
        "{cold}"
    );
    let warm = running.says("resolve bob+x@ex.test");
    assert!(warm.contains("cache") && !warm.contains("database"), "{warm}");
    let unknown = running.says("resolve eve@ex.test");
    assert!(
        unknown.ends_with("unknown: 550 5.1.1 No such user here\n"),
        "{unknown}"
    );
    assert_eq!(running.json("resolve eve@else.test --json")["is_ours"], false);
}

/// A13.
#[test]
fn what_is_set_at_run_time_survives_a_restart_and_ends_with_the_files_change() {
    let mut running = Running::new("");
    let status = running.says("cache set account.ttl=300s list.size=1MiB");
    assert!(status.contains("5m*") && status.contains("1MiB*"), "{status}");
    running.says("cache disable");
    assert_eq!(running.server.process.terminate().code(), Some(0));
    running.place.configure(ANY, ANY, "");
    let again = running.place.serve();
    running.place.configure(
        &again.smtp.to_string(),
        &again.admin.to_string(),
        "[object_cache.account]\nttl = \"20s\"\n",
    );
    running.server = again;
    let account = |running: &Running| running.json("cache status --json")["types"]["account"].clone();
    assert_eq!(
        (&account(&running)["ttl"], &account(&running)["enabled"]),
        (&json!(300.0), &json!(false))
    );
    running.server.process.signal(Signal::HUP);
    running.server.process.wait_for_line("configuration reloaded");
    assert_eq!(
        (&account(&running)["ttl"], &account(&running)["ttl_by"]),
        (&json!(20.0), &json!("file"))
    );
    assert_eq!(
        running.json("cache status --json")["types"]["list"]["size"],
        1 << 20
    );
    assert!(running.says("cache enable").contains("cache on*"));
    assert_eq!(running.says("cache set list.size=").matches("1MiB").count(), 0);
}

#[test]
fn the_cache_is_looked_into_cleared_and_counted_anew() {
    let running = Running::new("");
    running.says("domain add ex.test");
    running.says("resolve bob@ex.test");
    let shown = running.says("cache get domain EX.test");
    assert!(shown.starts_with("domain ex.test: present\n"), "{shown}");
    assert!(
        running
            .says("cache get account bob@ex.test")
            .contains("known not to exist")
    );
    assert_eq!(running.says("cache clear account bob@ex.test"), "dropped: 1\n");
    assert_eq!(
        running.says("cache get account bob@ex.test"),
        "account bob@ex.test: not cached\n"
    );
    assert_eq!(running.says("cache reset-stats"), "the rates start again\n");
    let refused = refused(&running.run("cache clear person"));
    assert!(
        refused.contains("\"person\" is none of domain, domain_alias,"),
        "{refused}"
    );
}

#[test]
fn a_change_of_the_database_itself_is_seen_by_the_running_server() {
    let running = Running::new("");
    running.says("domain add ex.test");
    assert!(running.says("resolve bob@ex.test").contains("unknown: 550"));
    assert_eq!(
        running.says("account --offline add bob@ex.test"),
        "account bob@ex.test: created\n"
    );
    wait_for("the server has heard of bob", || {
        running
            .says("resolve bob@ex.test")
            .contains("deliver to")
            .then_some(())
    });
    let status = running.json("cache status --json");
    assert_eq!(
        (&status["push"], &status["database_down"]),
        (&json!("up"), &json!(false))
    );
}

#[test]
fn without_a_server_the_database_itself_is_edited() {
    let place = Place::new(ANY, ANY, "");
    fs::create_dir(place.data()).unwrap();
    let says = |line: &str| said(&place.line(line, ""), line);
    assert_eq!(says("domain --offline add ex.test"), "domain ex.test: created\n");
    assert_eq!(
        says("account --offline add bob@ex.test"),
        "account bob@ex.test: created\n"
    );
    assert!(says("resolve --offline bob@ex.test").contains("deliver to bob@ex.test"));
    place.write("a.csv", "type,address\naccount,eve@ex.test\n");
    assert_eq!(says("import --offline a.csv"), "1 created, 0 replaced\n");
    assert_eq!(says("export --offline b.csv"), "");
    assert_eq!(place.read("b.csv").lines().count(), 4);
    let refused = refused(&place.line("account --offline add bob", ""));
    assert!(refused.starts_with("remuda: address: "), "{refused}");
    // Another's file is left as it is.
    place.write("data/directory.db", "no database");
    let broken = place.line("domain --offline list", "");
    assert_eq!(
        (code(&broken), errors(&broken).lines().count()),
        (1, 1),
        "{}",
        errors(&broken)
    );
    assert_eq!(place.read("data/directory.db"), "no database");
}

#[test]
fn a_file_is_stored_as_a_whole_or_not_at_all() {
    let running = Running::new("");
    running.place.write(
        "a.csv",
        "type,name,address,targets\ndomain,ex.test,,\naccount,,bob@ex.test,\nalias,,a@ex.test,bob\n",
    );
    let wrong = refused(&running.run("import a.csv"));
    assert!(
        wrong.starts_with("a.csv:4: targets[0]: ") && wrong.ends_with("; nothing was stored\n"),
        "{wrong}"
    );
    assert_eq!(running.says("domain list"), "none\n");
    let fixed = running.place.read("a.csv").replace(",bob\n", ",bob@ex.test\n");
    running.place.write("a.csv", &fixed);
    assert_eq!(running.says("import a.csv"), "3 created, 0 replaced\n");
    assert_eq!(
        running.json("import a.csv --json"),
        json!({"created": 0, "replaced": 3})
    );
    for name in ["b.json", "b.ndjson", "b.csv"] {
        assert_eq!(running.says(&format!("export {name} --with-passwords")), "");
        let other = Running::new("");
        other.place.write(name, &running.place.read(name));
        assert_eq!(other.says(&format!("import {name}")), "3 created, 0 replaced\n");
        assert_eq!(other.says(&format!("export c{name} --with-passwords")), "");
        assert_eq!(other.place.read(&format!("c{name}")), running.place.read(name));
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(running.place.directory.path().join("b.csv"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_large_file_shows_how_far_it_is() {
    let running = Running::new("");
    running.says("domain add ex.test");
    let mut table = "type,address\n".to_owned();
    for number in 0..5000 {
        table.push_str(&format!("account,u{number}@ex.test\n"));
    }
    running.place.write("a.csv", &table);
    let output = running.run("import a.csv");
    assert_eq!(said(&output, "import"), "5000 created, 0 replaced\n");
    assert!(
        errors(&output).contains("lines read, 100 %"),
        "{}",
        errors(&output)
    );
    running.place.write("a.csv", &format!("{table}account,nobody\n"));
    let output = running.run("import a.csv");
    assert!(
        errors(&output).contains("a.csv:5002: address: "),
        "{}",
        errors(&output)
    );
}

#[test]
fn a_directory_that_is_none_stops_the_start_and_changes_nothing() {
    let place = Place::new(ANY, ANY, "");
    fs::create_dir(place.data()).unwrap();
    place.write("data/directory.db", "no database at all");
    let output = place.command(&["serve"]);
    assert_eq!(code(&output), 1);
    assert!(errors(&output).contains("directory"), "{}", errors(&output));
    assert_eq!(place.read("data/directory.db"), "no database at all");
}

/// D5.
#[test]
fn a_database_server_that_does_not_answer_is_waited_for() {
    let closed = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let running = Running::new(&format!(
        "[directory]\nurl = \"postgres://remuda:hunter2@{closed}/remuda\"\n"
    ));
    let unavailable = running.says("resolve bob@ex.test");
    assert!(unavailable.contains("unavailable: 451 4.3.0 "), "{unavailable}");
    let refused = refused(&running.run("domain add ex.test"));
    assert!(
        refused.contains("the directory database is not available"),
        "{refused}"
    );
    assert_eq!(running.json("cache status --json")["push"], "down");
    let offline = running.run("domain --offline list");
    assert_eq!(code(&offline), 1);
    let mut said = running.server.process.lines();
    said.extend([refused, errors(&offline), running.says("cache status")]);
    assert!(!said.iter().any(|line| line.contains("hunter2")), "{said:?}");
}

/// D5, E15: the same commands over PostgreSQL, SQL beside them, and the server gone and back.
#[test]
fn a_database_server_is_used_as_a_file_is_and_comes_back_by_itself() {
    let mut postgres = Postgres::start().unwrap();
    let database = postgres.database().unwrap();
    let running = Running::new(&format!("[directory]\nurl = {:?}\n", database.url));
    running.says("domain add ex.test");
    running.place.write(
        "a.csv",
        "type,address\naccount,bob@ex.test\naccount,eve@ex.test\n",
    );
    assert_eq!(running.says("import a.csv"), "2 created, 0 replaced\n");
    assert!(
        running
            .says("resolve bob@ex.test")
            .contains("deliver to bob@ex.test (here)")
    );
    database
        .execute("UPDATE account SET active = false WHERE address = 'bob@ex.test'")
        .unwrap();
    wait_for("the server has heard of the edit", || {
        running
            .says("resolve bob@ex.test")
            .contains("disabled: 550")
            .then_some(())
    });
    assert_eq!(
        running.says("account --offline set eve@ex.test --active false"),
        "account eve@ex.test: changed\n"
    );
    assert_eq!(running.says("export b.csv"), "");
    postgres.stop();
    assert!(refused(&running.run("domain list")).contains("not available"));
    assert!(
        running
            .says("resolve joe@ex.test")
            .contains("unavailable: 451 4.3.0 ")
    );
    postgres.start_again().unwrap();
    wait_for("the server is answered again", || {
        running
            .says("resolve joe@ex.test")
            .contains("unknown: 550")
            .then_some(())
    });
}
