//! The configuration file: checked before, taken over while running, refused with reasons.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::{Node, check};
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Outcome, play};

fn registers(node: &Node, user: &str) -> Outcome<bool> {
    let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, user, &password_of(user), DOMAIN);
    Ok(phone.register(300)?.status() == Some(200))
}

#[test]
fn check_tells_good_from_bad_by_line() -> Outcome<()> {
    play("configuration-check", |scene| {
        let good = check(scene, &Site::new(scene)?.account("101").text())?;
        ensure!(good.status.success(), "a good file is refused: {}", String::from_utf8_lossy(&good.stderr));
        let bad = check(scene, "[node]\nname = \"a\"\n\n[sip]\nlistn = []\n")?;
        let words = String::from_utf8_lossy(&bad.stderr).into_owned();
        ensure!(bad.status.code() == Some(1), "a bad file ends with {}", bad.status);
        ensure!(words.contains("checked.toml:5:") && words.contains("did you mean `listen`"), "it says: {words}");
        Ok(())
    })
}

#[test]
fn shipped_files_are_good() -> Outcome<()> {
    play("configuration-shipped", |scene| {
        let folder = ringfort_tests::harness::programs::data_folder().join("../configs");
        for file in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|e| e == "toml") {
                let text = std::fs::read_to_string(file.path()).unwrap_or_default();
                let checked = check(scene, &text)?;
                ensure!(checked.status.success(), "{:?}: {}", file.path(), String::from_utf8_lossy(&checked.stderr));
            }
        }
        Ok(())
    })
}

#[test]
fn a_reload_takes_a_good_file_and_refuses_a_bad_one() -> Outcome<()> {
    play("configuration-reload", |scene| {
        let site = Site::new(scene)?.account("101");
        let mut node = Node::start(scene, site.clone())?;
        ensure!(registers(&node, "101")? && !registers(&node, "102")?, "only 101 may register before");
        let more = site.account("102");
        node.reload(&more.text())?;
        await_until("account 102", seconds(5), || Ok(registers(&node, "102")?.then_some(())))?;

        let bad = more.text().replace("[media]\n", "[media]\nport_frist = 1\n");
        let line = bad.lines().position(|l| l.starts_with("port_frist")).map_or(0, |n| n + 1);
        node.reload(&bad)?;
        node.log().await_line(&format!("node.toml:{line}:"), seconds(5))?;
        node.must_run()?;
        ensure!(registers(&node, "101")? && registers(&node, "102")?, "a bad file must change nothing");
        Ok(())
    })
}

#[test]
fn a_call_keeps_its_configuration() -> Outcome<()> {
    play("configuration-call", |scene| {
        let site = Site::new(scene)?.account("101");
        let node = Node::start(scene, site.clone())?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        let call = phone.call("*43", scene.port()?)?;
        node.reload(&site.section("[services]\necho = \"\"").text())?;
        node.log().await_line("reloaded", seconds(5))?;
        node.await_metric("ringfort_calls", 1.0, seconds(2))?;
        ensure!(phone.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        let gone = phone.call("*43", scene.port()?);
        ensure!(gone.is_err(), "the echo service is answered though it is switched off");
        Ok(())
    })
}

#[test]
fn a_node_does_not_start_with_a_bad_file() -> Outcome<()> {
    play("configuration-start", |scene| {
        let started = Node::start(scene, Site::new(scene)?.section("[sips]"));
        let words = started.map(drop).err().map(|failure| failure.to_string()).unwrap_or_default();
        ensure!(words.contains("node.toml:") && words.contains("did you mean `sip`"), "it says: {words}");
        Ok(())
    })
}
