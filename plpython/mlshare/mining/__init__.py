"""The settings of Oracle's mining models, and what they mean here."""
