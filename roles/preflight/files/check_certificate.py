#!/usr/bin/env python3
"""Say in words why nginx or browsers would refuse a certificate.

Reads from standard input, as JSON: `certificate` and `key` (PEM) and the site's `names`. The exit
status is 0 if all is well.
"""

import datetime
import ipaddress
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def covers(certificate, name):
    """Tell whether a certificate is for a host name or an address, as browsers see it."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False  # the subject's name has not counted for years
    try:
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        wanted = {name.lower(), "*." + name.lower().partition(".")[2]}
        return bool(wanted & {one.lower() for one in names.get_values_for_type(x509.DNSName)})


def fault(certificate, key, names):
    """Return what is wrong, or nothing."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return "`nginx_certificate` holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)."
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return (
            "`nginx_certificate_key` is encrypted with a passphrase, for which nginx cannot ask:"
            " remove it (openssl pkey) and encrypt the file with ansible-vault instead."
        )
    except ValueError:
        return "`nginx_certificate_key` holds no key in PEM form (-----BEGIN PRIVATE KEY-----)."
    if private.public_key() != chain[0].public_key():
        return (
            "`nginx_certificate_key` does not fit `nginx_certificate`: name the key that the"
            " certificate was made with; the site's own certificate must be the first of its file."
        )
    if missing := sorted(name for name in names if not covers(chain[0], name)):
        return (
            f"`nginx_certificate` is not for {', '.join(missing)}, of `jewelry_domain` and"
            " `nginx_server_names`: browsers refuse it."
        )
    end = chain[0].not_valid_after_utc
    if end < datetime.datetime.now(datetime.UTC):
        return (
            f"`nginx_certificate` ended on {end:%Y-%m-%d}: renew it, or leave both variables empty"
            " for a self-signed one."
        )
    return None


if __name__ == "__main__":
    sys.exit(fault(**json.load(sys.stdin)))
