"""Validation, estimation, editing 智能审核: nothing is billed that has not passed here."""
