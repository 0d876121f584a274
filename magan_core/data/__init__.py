"""Photographs, masks and maps: reading, making, dividing and preparing them."""
