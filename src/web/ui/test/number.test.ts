import assert from "node:assert/strict";
import { test } from "node:test";
import { dialFromQuery, domainOf, parseDialable, sipUri } from "../src/phone/number";

test("visual separators go, RFC 3966 5.1.1", () => {
  assert.equal(parseDialable("+353 (1) 234-56.78"), "+35312345678");
  assert.equal(parseDialable("030/1234-0"), "03012340");
  assert.equal(parseDialable(" 101 "), "101");
  assert.equal(parseDialable("*31#"), "*31#");
});

test("tel: URIs lose their scheme and parameters", () => {
  assert.equal(parseDialable("tel:+1-201-555-0123"), "+12015550123");
  assert.equal(parseDialable("TEL:7042;phone-context=example.com"), "7042");
  assert.equal(parseDialable("tel:%2B49%2030%201234"), "+49301234");
  assert.equal(parseDialable("tel:echo"), null);
});

test("sip: URIs keep their user part", () => {
  assert.equal(parseDialable("sip:101@example.com;transport=tls"), "101");
  assert.equal(parseDialable("sips:alice.byrne@example.com"), "alice.byrne");
  assert.equal(parseDialable("102@example.com"), "102");
});

test("names are dialled as they are", () => {
  assert.equal(parseDialable("echo"), "echo");
  assert.equal(parseDialable("front-door_2"), "front-door_2");
});

test("what cannot be dialled", () => {
  for (const text of ["", "   ", "tel:", "sip:@example.com", "front door", "101<script>", "%zz", "1".repeat(65)]) {
    assert.equal(parseDialable(text), null, text);
  }
});

test("reserved characters are escaped in a SIP URI, RFC 3261 19.1.2", () => {
  assert.equal(sipUri("+353123", "example.com"), "sip:+353123@example.com");
  assert.equal(sipUri("*31#", "example.com"), "sip:*31%23@example.com");
});

test("the domain of an address of record", () => {
  assert.equal(domainOf("sip:101@example.com"), "example.com");
  assert.equal(domainOf("sip:101@[2001:db8::1]:5061;transport=ws"), "[2001:db8::1]:5061");
});

test("a link fills the field in; its plus survives being read as a space", () => {
  assert.equal(dialFromQuery("?dial=tel:+49301234"), "+49301234");
  assert.equal(dialFromQuery("?dial=%2B49301234"), "+49301234");
  assert.equal(dialFromQuery("?dial=+49301234"), "+49301234");
  assert.equal(dialFromQuery("?dial=front%20door"), "");
  assert.equal(dialFromQuery(""), "");
});
