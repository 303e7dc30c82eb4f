// One libsrtp session for each direction, driven by lines: `SUITE HEX` with key and salt once, then a letter and a packet in
// hexadecimal. P and p protect RTP and RTCP, U and u unprotect. Each packet is answered by a line: the packet, or `error N`.

#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_MAX 2048

static int parse(const char *text, unsigned char *octets) {
  int len = 0;
  unsigned int octet;
  while (len < PACKET_MAX && sscanf(text + 2 * len, "%2x", &octet) == 1)
    octets[len++] = (unsigned char)octet;
  return len;
}

static int set_suite(const char *suite, srtp_policy_t *policy) {
  size_t len = strlen(suite);
  srtp_crypto_policy_set_rtcp_default(&policy->rtcp);
  if (strcmp(suite, "cm80") == 0)
    srtp_crypto_policy_set_rtp_default(&policy->rtp);
  else if (strcmp(suite, "cm32") == 0)
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy->rtp);
  else if (strcmp(suite, "cm256-80") == 0 || strcmp(suite, "cm256-32") == 0) {
    srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy->rtp);
    policy->rtcp = policy->rtp;
  } else if (strcmp(suite, "gcm128") == 0) {
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtp);
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtcp);
  } else if (strcmp(suite, "gcm256") == 0) {
    srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtp);
    srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtcp);
  } else
    return -1;
  // RFC 6188: the short tag is of SRTP only.
  if (len > 3 && strcmp(suite + len - 3, "-32") == 0)
    policy->rtp.auth_tag_len = 4;
  return 0;
}

static srtp_t session(srtp_policy_t *policy, srtp_ssrc_type_t direction) {
  srtp_t made = NULL;
  policy->ssrc.type = direction;
  if (srtp_create(&made, policy) != srtp_err_status_ok)
    exit(3);
  return made;
}

int main(void) {
  static char line[2 * PACKET_MAX + 16];
  static unsigned char octets[PACKET_MAX + SRTP_MAX_TRAILER_LEN + 4], key[PACKET_MAX];
  char suite[16], hex[256];
  srtp_policy_t policy;
  memset(&policy, 0, sizeof policy);
  if (srtp_init() != srtp_err_status_ok || scanf("%15s %255s\n", suite, hex) != 2 || set_suite(suite, &policy) != 0)
    return 2;
  parse(hex, key);
  policy.key = key;
  srtp_t out = session(&policy, ssrc_any_outbound), in = session(&policy, ssrc_any_inbound);
  while (fgets(line, sizeof line, stdin)) {
    int len = parse(line + 1, octets);
    srtp_err_status_t status = srtp_err_status_bad_param;
    switch (line[0]) {
    case 'P': status = srtp_protect(out, octets, &len); break;
    case 'p': status = srtp_protect_rtcp(out, octets, &len); break;
    case 'U': status = srtp_unprotect(in, octets, &len); break;
    case 'u': status = srtp_unprotect_rtcp(in, octets, &len); break;
    }
    if (status != srtp_err_status_ok)
      printf("error %d", (int)status);
    else
      for (int n = 0; n < len; n++)
        printf("%02x", octets[n]);
    putchar('\n');
    fflush(stdout);
  }
  return 0;
}
